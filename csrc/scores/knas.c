/* KNAS after the idea of Xu et al. (ICML 2021): the mean of the Gram matrix of the gradients of single images, by
   tensors, sum_l mean_ij g_i . g_j with i = j included, which is sum_l |mean_i g_i|^2. `mean` divides by the number of
   tensors, dead ones included. The released code computes something else, on some entries of some tensors: see the
   dataclass. */
#include "scores/score.h"

enum { MEAN };

static const char *const PARAMS[] = {"mean", NULL};

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)run;
    return t->size * sizeof(double);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    double *sum = state, g[ZS_CHUNK];
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, dw, g)) > 0; at += n)
        for (size_t i = 0; i < n; i++) sum[at + i] += g[i];
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)counts;
    *live = true;
    const double *sum = state;
    double total = 0;
    for (size_t i = 0; state && i < t->size; i++) total += (sum[i] / run->n_groups) * (sum[i] / run->n_groups);
    return total;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    int n = 0;
    for (int t = 0; t < run->graph->n_tensors; t++) n += run->graph->tensors[t].counted;
    if (run->params[MEAN] != 0 && n > 0) run->value /= n;
}

const zs_score zs_score_knas = {
    .name = "knas",
    .params = PARAMS,
    .min_groups = 1,
    .keeps_signs = true, /* so that it shares GradSign's pass */
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
