/* SNIP (Lee, Ajanthan and Torr, ICLR 2019), as the zero-cost literature takes it: sum over weights of |w g| with
   the gradient g of the mean loss of one batch. The paper divides each term by the total, which leaves no score. */
#include "scores/tensor_sum.h"

static const char *const PARAMS[] = {NULL};

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    const void *weight = zs_weight_of(run, t);
    double g[ZS_CHUNK], w[ZS_CHUNK], total = 0;
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, dw, g)) > 0; at += n) {
        zs_chunk(run->kernels, t->size, at, weight, w);
        for (size_t i = 0; i < n; i++) total += fabs(w[i] * g[i]);
    }
    *(double *)state = total;
}

const zs_score zs_score_snip = {
    .name = "snip",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .state_bytes = zs_tensor_sum_bytes,
    .observe = observe,
    .finish_tensor = zs_tensor_sum_finish,
};
