/* Norm of the gradient g of the mean loss of one batch. `over` takes

       layers  sum over tensors of weights of ||g||_2                            (Abdelfattah et al., ICLR 2021)
       all     ||g||_2 of all parameters together, biases, gammas and betas too  (Lin et al., ICCV 2021, code)

   With `all` the bias of the classifier has a gradient even where no path leads from the images to the logits: there is
   no signal only if the norm is zero. */
#include "scores/tensor_sum.h"

enum { OVER };
enum { LAYERS, ALL };

static const char *const PARAMS[] = {"over", NULL};

static zs_needs needs(const zs_score_run *run) { return (zs_needs){.all_params = (int)run->params[OVER] == ALL}; }

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    double g[ZS_CHUNK], total = 0;
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, dw, g)) > 0; at += n)
        for (size_t i = 0; i < n; i++) total += g[i] * g[i];
    *(double *)state = total;
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)t, (void)counts;
    *live = true;
    return state && (int)run->params[OVER] == LAYERS ? sqrt(*(const double *)state) : 0.0;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    if ((int)run->params[OVER] != ALL) return;
    double total = 0;
    for (int t = 0; t < run->graph->n_tensors; t++)
        if (f->states[t]) total += *(const double *)f->states[t];
    run->value = sqrt(total);
    if (total != 0) return;
    run->status = ZS_RESULT_NO_SIGNAL;
    run->reason = "every gradient is exactly zero";
}

const zs_score zs_score_grad_norm = {
    .name = "grad_norm",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .needs = needs,
    .state_bytes = zs_tensor_sum_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
