/* GraSP (Wang, Zhang and Grosse, ICLR 2020), as the zero-cost literature takes it: sum over weights of -w (H g) with
   the gradient g and the Hessian H of the mean loss of one batch. H g comes exact, batch norm differentiated twice. The
   temperature is 1 (the paper's is 200), and the sum is signed. */
#include "scores/tensor_sum.h"

static const char *const PARAMS[] = {NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.hessian = true};
}

static const char *check(const zs_score_run *run) {
    return run->loss == ZS_LOSS_CROSS_ENTROPY && run->n_groups == 1 ? NULL : "expected cross-entropy of one batch";
}

static void observe_hessian(const zs_score_run *run, void *state, const zs_tensor *t, const void *product) {
    const void *weight = zs_weight_of(run, t);
    double h[ZS_CHUNK], w[ZS_CHUNK], total = 0;
    for (size_t at = 0, n; (n = zs_chunk(run->kernels, t->size, at, product, h)) > 0; at += n) {
        zs_chunk(run->kernels, t->size, at, weight, w);
        for (size_t i = 0; i < n; i++) total += w[i] * h[i];
    }
    *(double *)state -= total;
}

const zs_score zs_score_grasp = {
    .name = "grasp",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .needs = needs,
    .check = check,
    .state_bytes = zs_tensor_sum_bytes,
    .observe_hessian = observe_hessian,
    .finish_tensor = zs_tensor_sum_finish,
};
