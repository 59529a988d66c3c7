/* ZiCo (Li et al., ICLR 2023), as the released code computes it. With g_i the gradient of batch i's mean loss

       sum_l log sum_w mean_i |g_i| / std_i(g_i)

   over tensors l and their weights w: mean of the absolute gradient, population deviation of the signed one (the paper
   speaks of that of the absolute one, too). A weight whose deviation is exactly zero is left out, and so is a tensor
   that has no other. Welford's mean of equal gradients is exact, so that equal batches leave out everything; the
   released code's rounds. */
#include "scores/score.h"

static const char *const PARAMS[] = {NULL};

/* By weight: mean, sum of squared deviations, sum of |g|. */
static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)run;
    return 3 * t->size * sizeof(double);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    double *mean = state, *m2 = mean + t->size, *sum = m2 + t->size, g[ZS_CHUNK];
    run->kernels->moments(t->size, dw, group, mean, m2, NULL);
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, dw, g)) > 0; at += n)
        for (size_t i = 0; i < n; i++) sum[at + i] += fabs(g[i]);
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)counts;
    if (!state) return 0.0;
    const double *mean = state, *m2 = mean + t->size, *sum = m2 + t->size, n = run->n_groups;
    double total = 0;
    for (size_t i = 0; i < t->size; i++) {
        const double v = m2[i] / n;
        if (v != 0) total += sum[i] / n / sqrt(v); /* NaN stays */
    }
    if (total == 0) return 0.0;
    *live = true;
    return log(total);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    if (!f->any_live) {
        run->status = ZS_RESULT_UNDEFINED;
        run->reason = "no_variance";
    }
}

const zs_score zs_score_zico = {
    .name = "zico",
    .params = PARAMS,
    .min_groups = 2,
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
