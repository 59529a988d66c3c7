/* Plain (Abdelfattah et al., ICLR 2021): sum over weights of w g, signed, with the gradient g of the mean loss of one
   batch. */
#include "scores/score.h"

static const char *const PARAMS[] = {NULL};

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)run, (void)t;
    return sizeof(double);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    const void *weight = zs_weight_of(run, t);
    double g[ZS_CHUNK], w[ZS_CHUNK], total = 0;
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, dw, g)) > 0; at += n) {
        zs_chunk(run->kernels, t->size, at, weight, w);
        for (size_t i = 0; i < n; i++) total += w[i] * g[i];
    }
    *(double *)state = total;
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)run, (void)t, (void)counts;
    *live = true;
    return state ? *(const double *)state : 0.0;
}

const zs_score zs_score_plain = {
    .name = "plain",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
};
