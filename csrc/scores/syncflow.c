/* The SynFlow of ZenNAS (Lin et al., ICCV 2021, code): -sum_l mean_c sum |w dR/dw| over the output channels c of tensor
   l. As SynFlow, but with batch norms left as they are, and the weights are N(0, 1) unless the caller says
   otherwise. */
#include "scores/tensor_sum.h"

static const char *const PARAMS[] = {NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.float64 = true, .absolute = true};
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    const double *g = dw, *w = zs_weight_of(run, t);
    double total = 0;
    for (size_t i = 0; i < t->size; i++) total += fabs(w[i] * g[i]);
    *(double *)state = total;
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)run, (void)counts;
    *live = true;
    return state ? -*(const double *)state / t->O : 0.0;
}

const zs_score zs_score_syncflow = {
    .name = "syncflow",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .needs = needs,
    .state_bytes = zs_tensor_sum_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
};
