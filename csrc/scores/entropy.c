#include "scores/entropy.h"

#include <string.h>

#include "core/dense.h"

static size_t square(size_t n) { return n * n; }

zs_needs zs_entropy_needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

unsigned zs_entropy_watch(const zs_score_run *run, int node) {
    return run->graph->nodes[node].feature ? ZS_WATCH_VALUE : 0;
}

/* E by feature; then of one feature its mean, a row of pixels, the covariance, and what eigenvalues need. */
size_t zs_entropy_memory_bytes(const zs_score_run *run) {
    size_t most = 0;
    const zs_graph *g = run->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        const zs_shape s = g->nodes[i].shape;
        const size_t C = (size_t)s.C;
        const size_t n = (3 * C + square(C) + (size_t)s.W * C) * sizeof(double) + zs_dense_eigenvalues_scratch_bytes(C);
        if (g->nodes[i].feature && n > most) most = n;
    }
    return (size_t)zs_n_features(g) * sizeof(double) + most;
}

/* Sums over all places of x - from_first, where `from` is a place's channels; a constant feature has sums of zeros. */
static void find_mean(const zs_kernels *k, const zs_look *look, const double *first, double *row, double *mean) {
    const zs_shape s = look->shape;
    memset(mean, 0, (size_t)s.C * sizeof *mean);
    for (int n = 0; n < look->group_size; n++)
        for (int h = 0; h < s.H; h++) {
            zs_row_of_view(k, &look->value, s, n, h, row);
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) mean[c] += row[w * s.C + c] - first[c];
        }
    for (int c = 0; c < s.C; c++) mean[c] /= (double)look->group_size * s.H * s.W;
}

static void find_covariance(const zs_kernels *k, const zs_look *look, const double *first, const double *mean,
                            double *row, double *cov) {
    const zs_shape s = look->shape;
    const size_t C = (size_t)s.C;
    memset(cov, 0, square(C) * sizeof *cov);
    for (int n = 0; n < look->group_size; n++)
        for (int h = 0; h < s.H; h++) {
            zs_row_of_view(k, &look->value, s, n, h, row);
            for (int w = 0; w < s.W; w++)
                for (size_t c = 0; c < C; c++) row[(size_t)w * C + c] = row[(size_t)w * C + c] - first[c] - mean[c];
            zs_dense_add_outer((size_t)s.W, C, C, row, row, cov);
        }
    const double places = (double)look->group_size * s.H * s.W;
    for (size_t i = 0; i < square(C); i++) cov[i] /= places;
}

static double entropy(size_t C, const double *s) {
    double total = 0, e = 0;
    for (size_t i = 0; i < C; i++) total += s[i];
    if (!(total > 0)) return NAN;
    for (size_t i = 0; i < C; i++) e -= s[i] / total * log(s[i] / total + 1e-8);
    return e;
}

void zs_entropy_look(const zs_score_run *run, void *memory, const zs_look *look) {
    double *found = (double *)memory + zs_feature_index(run->graph, look->node);
    const size_t C = (size_t)look->shape.C;
    double *first = (double *)memory + zs_n_features(run->graph), *mean = first + C, *values = mean + C;
    double *row = values + C, *cov = row + (size_t)look->shape.W * C;
    *found = NAN;
    if (!look->value.p) return;
    zs_row_of_view(run->kernels, &look->value, look->shape, 0, 0, row);
    memcpy(first, row, C * sizeof *first);
    find_mean(run->kernels, look, first, row, mean);
    find_covariance(run->kernels, look, first, mean, row, cov);
    if (zs_dense_eigenvalues(C, cov, values, cov + square(C)) == ZS_DENSE_OK) *found = entropy(C, values);
}

const double *zs_entropies(zs_score_run *run, void *memory, int *n) {
    const double *e = memory;
    *n = zs_n_features(run->graph);
    bool finite = *n >= 2;
    for (int m = 0; m < *n; m++) finite = finite && isfinite(e[m]);
    if (!finite) zs_undefined(run, *n < 2 ? "no_features" : "constant_feature");
    return finite ? e : NULL;
}
