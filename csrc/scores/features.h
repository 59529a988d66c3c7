/* The features of a network: its nodes that are marked as stages, F_0 (the stem's output) to F_M, in node order. What
   AZ-NAS looks at. */
#ifndef ZS_FEATURES_H
#define ZS_FEATURES_H

#include "scores/score.h"

static inline int zs_n_features(const zs_graph *g) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) n += g->nodes[i].feature;
    return n;
}

/* m of F_m. */
static inline int zs_feature_index(const zs_graph *g, int node) {
    int n = 0;
    for (int i = 0; i < node; i++) n += g->nodes[i].feature;
    return n;
}

/* The node of F_m; there is one. */
static inline int zs_feature_node(const zs_graph *g, int m) {
    int i = 0;
    for (; m > 0 || !g->nodes[i].feature; i++) m -= g->nodes[i].feature;
    return i;
}

/* Row h of sample n of a view as doubles, W x C. */
static inline void zs_row_of_view(const zs_kernels *k, const zs_view *v, zs_shape s, int n, int h, double *out) {
    const size_t real = zs_dtype_size(k->dtype);
    const char *row = (const char *)v->p + (n * v->sn + h * v->sh) * (ptrdiff_t)real;
    if (v->sw == s.C) {
        k->store_vector((size_t)s.W * (size_t)s.C, row, out);
        return;
    }
    for (int w = 0; w < s.W; w++)
        k->store_vector((size_t)s.C, row + w * v->sw * (ptrdiff_t)real, out + (size_t)w * (size_t)s.C);
}

#endif
