/* jacob_cov (Mellor et al., first version of 2020, Sec. 3; "jacov" in NASLib): with v the eigenvalues of the correlation
   of the images' input Jacobians, and k = 1e-5,

       - sum_i [ log(v_i + k) + 1 / (v_i + k) ]

   -n at best, for n uncorrelated images. Eigenvalues are those of a symmetric matrix, clamped at 0. */
#include "core/dense.h"
#include "scores/input_jacobian.h"

static const char *const PARAMS[] = {NULL};
static const double K = 1e-5;

static void finish(zs_score_run *run, const zs_finish *f) {
    const size_t n = (size_t)run->group_size;
    double *corr;
    if (n < 2) {
        zs_undefined(run, "one_image");
        return;
    }
    const zs_rows_are rows = zs_jacobian_correlate(run, f->memory, &corr);
    double *values = corr + n * n;
    if (rows == ZS_ROWS_CONSTANT)
        zs_undefined(run, "constant_row");
    else if (rows == ZS_ROWS_NOT_FINITE || zs_dense_eigenvalues(n, corr, values, values + n) != ZS_DENSE_OK)
        run->value = NAN;
    else
        for (size_t i = 0; i < n; i++) {
            const double v = (values[i] > 0 ? values[i] : 0) + K;
            run->value -= log(v) + 1 / v;
        }
}

const zs_score zs_score_jacob_cov = {
    .name = "jacob_cov",
    .params = PARAMS,
    .min_groups = 1,
    .needs = zs_jacobian_needs,
    .watch = zs_jacobian_watch,
    .memory_bytes = zs_jacobian_bytes,
    .look = zs_jacobian_look,
    .finish = finish,
};
