/* Sum over tensors of weights of ||w||_2 (Abdelfattah et al., ICLR 2021): no data, no pass. Dead weights count. */
#include "scores/score.h"

static const char *const PARAMS[] = {NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_pass = true};
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)state, (void)counts;
    const void *weight = zs_weight_of(run, t);
    double w[ZS_CHUNK], total = 0;
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, weight, w)) > 0; at += n)
        for (size_t i = 0; i < n; i++) total += w[i] * w[i];
    *live = *live || total != 0;
    return sqrt(total);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    if (f->any_live) return;
    run->status = ZS_RESULT_NO_SIGNAL;
    run->reason = "every weight is exactly zero";
}

const zs_score zs_score_l2_norm = {
    .name = "l2_norm",
    .params = PARAMS,
    .needs = needs,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
