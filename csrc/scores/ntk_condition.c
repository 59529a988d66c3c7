/* Condition number of the neural tangent kernel (TE-NAS, Chen et al., ICLR 2021): with row i the gradient of the
   summed logits of image i by all weights and batch norm scales, in one joint pass, Theta = rows rows^T and

       kappa = lambda_max / lambda_min

   Backward runs once an image. Each layer keeps the rows of a wave of images, as many as fit in MAX_ROWS_BYTES over all
   layers, and adds the products of each row with those before it to a matrix of its own. If there are more images than
   that, the sweeps of the later ones are run again for the next wave:

       wave 0   images 0 ... r-1 (kept), r ... n-1      n sweeps
       wave 1   images r ... 2r-1 (kept), 2r ... n-1    n - r sweeps   ...

   Gradients are rounded, so that theirs is an error of some roundings of the dtype times the row, and equal images do
   not give quite equal rows: the kernel is called singular below (ROUNDINGS eps)^2 lambda_max of the dtype, and below n
   eps lambda_max of double, in which it is added up. */
#include <float.h>
#include <string.h>

#include "core/dense.h"
#include "scores/score.h"

enum { ROUNDINGS = 16 };
static const size_t MAX_ROWS_BYTES = (size_t)256 << 20;

static const char *const PARAMS[] = {NULL};

static bool enters(const zs_tensor *t) { return t->counted || t->role == ZS_ROLE_GAMMA; }

/* Rows that are kept at a time. */
static int wave_rows(const zs_score_run *run) {
    size_t row = 0;
    for (int t = 0; t < run->graph->n_tensors; t++)
        if (enters(&run->graph->tensors[t])) row += run->graph->tensors[t].size * zs_dtype_size(run->kernels->dtype);
    const size_t n = (size_t)run->group_size, fit = row > 0 ? MAX_ROWS_BYTES / row : n;
    return (int)(fit < 1 ? 1 : fit < n ? fit : n);
}

static int n_sweeps(const zs_score_run *run) {
    const int rows = wave_rows(run);
    int n = 0;
    for (int left = run->group_size; left > 0; left -= rows) n += left;
    return n;
}

/* The first image of a sweep's wave, and the sweep's own. */
typedef struct place {
    int first, image;
} place;

static place place_of(const zs_score_run *run, int sweep) {
    const int n = run->group_size, rows = wave_rows(run);
    int first = 0;
    for (; sweep >= n - first; first += rows) sweep -= n - first;
    return (place){first, first + sweep};
}

static zs_needs needs(const zs_score_run *run) { return (zs_needs){.all_params = true, .n_sweeps = n_sweeps(run)}; }

static int begin_sweep(const zs_score_run *run, void *memory, int sweep) {
    (void)memory;
    return place_of(run, sweep).image;
}

/* n x n products, lower triangle; then the rows of a wave. */
static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    const size_t n = (size_t)run->group_size, row = t->size * zs_dtype_size(run->kernels->dtype);
    return enters(t) ? n * n * sizeof(double) + (size_t)wave_rows(run) * row : 0;
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int sweep, const void *dw) {
    const size_t n = (size_t)run->group_size, row = t->size * zs_dtype_size(run->kernels->dtype);
    const place at = place_of(run, sweep);
    const int end = at.first + wave_rows(run);
    double *const products = (double *)state + (size_t)at.image * n;
    char *const rows = (char *)state + n * n * sizeof(double);
    if (at.image < end) memcpy(rows + (size_t)(at.image - at.first) * row, dw, row);
    for (int i = at.first; i < end && i <= at.image; i++)
        products[i] = run->kernels->dot(t->size, dw, rows + (size_t)(i - at.first) * row);
}

static size_t memory_bytes(const zs_score_run *run) {
    const size_t n = (size_t)run->group_size;
    return (n * n + n) * sizeof(double) + zs_dense_eigenvalues_scratch_bytes(n);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const size_t n = (size_t)run->group_size;
    const double rounding = (double)ROUNDINGS * (run->kernels->dtype == ZS_F32 ? FLT_EPSILON : DBL_EPSILON);
    const double most = fmax((double)n * DBL_EPSILON, rounding * rounding);
    double *const theta = f->memory, *const values = theta + n * n;
    double trace = 0;
    for (int t = 0; t < run->graph->n_tensors; t++)
        for (size_t i = 0; f->states[t] && i < n * n; i++) theta[i] += ((const double *)f->states[t])[i];
    for (size_t i = 0; i < n; i++) trace += theta[i * n + i];
    if (trace == 0)
        zs_undefined(run, "all_zero");
    else if (zs_dense_eigenvalues(n, theta, values, values + n) != ZS_DENSE_OK)
        run->value = NAN;
    else if (values[0] <= most * values[n - 1])
        zs_undefined(run, "singular");
    else
        run->value = values[n - 1] / values[0];
}

const zs_score zs_score_ntk_condition = {
    .name = "ntk_condition",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .state_bytes = state_bytes,
    .observe = observe,
    .memory_bytes = memory_bytes,
    .begin_sweep = begin_sweep,
    .finish = finish,
};
