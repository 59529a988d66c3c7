/* xi-GSNR (Sun et al., ICCV 2023). With g_i the gradient of batch i's mean loss and, per weight, m = mean_i g_i and
   v = mean_i g_i^2 - m^2 over N batches (population variance, here by Welford in double):

       mean2       sum m^2
       inv_var     sum 1 / v          over weights with v > 0
       inv_var_xi  sum 1 / (v + xi)
       gsnr        sum m^2 / v        over weights with v > 0
       xi_gsnr     sum m^2 / (v + xi)                                                             (Eq. 10; Tables 9, 12)

   As in the released code, a tensor whose v is zero everywhere adds nothing to xi_gsnr. `accumulate` takes the running
   sums g_1 + ... + g_i in place of g_i: the released script never zeroes its gradients. */
#include "scores/score.h"

enum { XI, VARIANT, ACCUMULATE };
enum { MEAN2, INV_VAR, INV_VAR_XI, GSNR, XI_GSNR };

static const char *const PARAMS[] = {"xi", "variant", "accumulate", NULL};

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    return t->size * sizeof(double) * (run->params[ACCUMULATE] != 0 ? 3 : 2);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    double *mean = state, *m2 = mean + t->size, *sum = run->params[ACCUMULATE] != 0 ? m2 + t->size : NULL;
    run->kernels->moments(t->size, dw, group, mean, m2, sum);
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)counts;
    const int variant = (int)run->params[VARIANT];
    const double xi = run->params[XI], n = run->n_groups;
    if (!state) return variant == INV_VAR_XI ? (double)t->size / xi : 0.0;
    const double *mean = state, *m2 = mean + t->size;
    double total = 0;
    bool varies = false;
    for (size_t i = 0; i < t->size; i++) {
        const double m = mean[i], v = m2[i] / n;
        varies = varies || v != 0; /* NaN varies */
        switch (variant) {
        case MEAN2: total += m * m; break;
        case INV_VAR: total += v != 0 ? 1 / v : 0; break;
        case INV_VAR_XI: total += 1 / (v + xi); break;
        case GSNR: total += v != 0 ? m * m / v : 0; break;
        default: total += m * m / (v + xi); break;
        }
    }
    *live = *live || varies || variant == MEAN2 || variant == INV_VAR_XI;
    return varies || variant != XI_GSNR ? total : 0.0;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    if (!f->any_live) {
        run->status = ZS_RESULT_UNDEFINED;
        run->reason = "no_variance";
    }
}

const zs_score zs_score_xi_gsnr = {
    .name = "xi_gsnr",
    .params = PARAMS,
    .min_groups = 2,
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
