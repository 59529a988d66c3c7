/* EPE-NAS (Lopes et al., 2021, Eq. 3 to 6): for each class c, over all pairs of its images,

       s_c = sum_ij log(|corr_ij| + k)          k = 1e-5

   of the images' input Jacobians. The score is sum_c |s_c|, or, for `many` classes, the mean over them of
   sum_d |s_c - s_d|, where each s_c is divided by the class's number of images, and classes of one image are left out.
   As in the released code a class of one image has a correlation of 1 in the first form. */
#include "scores/input_jacobian.h"

enum { MANY };
enum { MANY_CLASSES = 100 }; /* more than these are many, where the caller leaves it open */

static const char *const PARAMS[] = {"many", NULL};
static const double K = 1e-5;

static bool is_many(const zs_score_run *run) {
    const zs_graph *g = run->graph;
    return run->params[MANY] < 0 ? g->nodes[g->n_nodes - 1].shape.C > MANY_CLASSES : run->params[MANY] != 0;
}

/* s_c of the class of image `first`, the first of its class; images in *size. */
static double sum_class(const zs_score_run *run, size_t first, const double *corr, size_t *size) {
    const size_t n = (size_t)run->group_size;
    const int64_t *y = run->labels, c = y[first];
    double sum = 0;
    *size = 0;
    for (size_t i = first; i < n; i++) {
        if (y[i] != c) continue;
        *size += 1;
        for (size_t j = first; j < n; j++)
            if (y[j] == c) sum += log(fabs(corr[i * n + j]) + K);
    }
    return sum;
}

static bool is_first(const int64_t *y, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (y[j] == y[i]) return false;
    return true;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const size_t n = (size_t)run->group_size;
    const bool many = is_many(run);
    double *corr;
    const zs_rows_are rows = zs_jacobian_correlate(run, f->memory, &corr);
    if (rows == ZS_ROWS_NOT_FINITE) {
        run->value = NAN;
        return;
    }
    double *sums = corr + n * n;
    size_t n_classes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size;
        if (!is_first(run->labels, i)) continue;
        const double sum = sum_class(run, i, corr, &size);
        if (many && size < 2) continue;
        if (isnan(sum)) {
            zs_undefined(run, "constant_row");
            return;
        }
        sums[n_classes++] = many ? sum / (double)size : sum;
    }
    if (n_classes == 0) zs_undefined(run, "no_pair_in_any_class");
    for (size_t c = 0; c < n_classes; c++)
        if (many)
            for (size_t d = 0; d < n_classes; d++) run->value += fabs(sums[c] - sums[d]) / (double)n_classes;
        else
            run->value += fabs(sums[c]);
}

const zs_score zs_score_epe_nas = {
    .name = "epe_nas",
    .params = PARAMS,
    .min_groups = 1,
    .needs = zs_jacobian_needs,
    .watch = zs_jacobian_watch,
    .memory_bytes = zs_jacobian_bytes,
    .look = zs_jacobian_look,
    .finish = finish,
};
