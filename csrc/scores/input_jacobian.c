#include "scores/input_jacobian.h"

#include "core/dense.h"
#include "scores/features.h"

/* memory: n x n correlations, then n x d rows, which make room for what algebra needs. A row that was never shown is
   zero. */
static size_t row_length(const zs_score_run *run) {
    const zs_shape s = run->graph->nodes[0].shape;
    return (size_t)s.C * (size_t)s.H * (size_t)s.W;
}

zs_needs zs_jacobian_needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_params = true};
}

unsigned zs_jacobian_watch(const zs_score_run *run, int node) {
    (void)run;
    return node == 0 ? ZS_WATCH_GRADIENT : 0;
}

size_t zs_jacobian_bytes(const zs_score_run *run) {
    const size_t n = (size_t)run->group_size;
    const size_t rows = n * row_length(run) * sizeof(double);
    const size_t algebra = n * sizeof(double) + zs_dense_eigenvalues_scratch_bytes(n);
    return n * n * sizeof(double) + (rows > algebra ? rows : algebra);
}

void zs_jacobian_look(const zs_score_run *run, void *memory, const zs_look *look) {
    const int n = run->group_size;
    const zs_shape s = look->shape;
    double *out = (double *)memory + (size_t)n * (size_t)n;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < s.H; h++, out += s.W * s.C) zs_row_of_view(run->kernels, &look->grad, s, i, h, out);
}

zs_rows_are zs_jacobian_correlate(const zs_score_run *run, void *memory, double **corr) {
    const size_t n = (size_t)run->group_size;
    *corr = memory;
    return zs_correlate(n, row_length(run), *corr + n * n, *corr);
}
