/* Sweetimator (Yang et al., 2023, Eq. 1): the number of weights whose gradient lies in an interval,
   #{ j : edges[e] <= |g_j| < edges[e+1] }, counted for every interval of a list of edges in one pass; the value is the
   count over all of them. Edges are rounded to the engine's dtype, as PyTorch does. Dead weights have gradient zero and
   count in the interval that holds zero. Proportions, Sweetness (Eq. 2, 3) and Algorithm 1 work on these counts. */
#include "scores/score.h"

static const char *const PARAMS[] = {NULL};

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)t;
    return (size_t)run->n_edges * sizeof(int64_t);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    run->kernels->histogram(t->size, dw, run->n_edges, run->edges, state);
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    *live = true;
    int64_t total = 0;
    for (int e = 0; e + 1 < run->n_edges; e++) {
        counts[e] = state ? ((const int64_t *)state)[e] : 0;
        if (!state && run->edges[e] <= 0 && run->edges[e + 1] > 0) counts[e] = (int64_t)t->size * run->n_groups;
        total += counts[e];
    }
    return (double)total;
}

const zs_score zs_score_sweet = {
    .name = "sweet",
    .params = PARAMS,
    .min_groups = 1,
    .takes_edges = true,
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
};
