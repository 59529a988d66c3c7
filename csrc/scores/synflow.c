/* SynFlow (Tanaka et al., NeurIPS 2020). Every parameter is made absolute, one image of ones goes through the network,
   and R is the sum of the logits. `variant` takes

       sum  sum over weights of |w dR/dw|
       log  sum over weights of |w log(dR/dw + 1)|                     (LogSynflow; Cavagnero et al., WACV 2023)

   without batch norms unless `bn`, which leaves them as the network has them. Values grow like a product over layers:
   always float64. A sum with a negative coefficient can make a gradient -1 or less, which has no logarithm. */
#include "scores/score.h"

enum { BN, VARIANT };
enum { SUM, LOG };

static const char *const PARAMS[] = {"bn", "variant", NULL};

static zs_needs needs(const zs_score_run *run) {
    return (zs_needs){.float64 = true, .absolute = true, .identity_bn = (int)run->params[BN] == 0};
}

typedef struct state {
    double total;
    bool no_log;
} state;

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)run, (void)t;
    return sizeof(state);
}

static void observe(const zs_score_run *run, void *of_tensor, const zs_tensor *t, int group, const void *dw) {
    (void)group;
    const double *g = dw, *w = zs_weight_of(run, t);
    const bool is_log = (int)run->params[VARIANT] == LOG;
    state *s = of_tensor;
    for (size_t i = 0; i < t->size; i++) {
        s->total += fabs(w[i] * (is_log ? log1p(g[i]) : g[i]));
        s->no_log = s->no_log || (is_log && g[i] <= -1);
    }
}

static double finish_tensor(const zs_score_run *run, const void *of_tensor, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)run, (void)t, (void)counts;
    *live = true;
    return of_tensor ? ((const state *)of_tensor)->total : 0.0;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    for (int t = 0; t < run->graph->n_tensors; t++)
        if (f->states[t] && ((const state *)f->states[t])->no_log) zs_undefined(run, "log_of_negative");
}

const zs_score zs_score_synflow = {
    .name = "synflow",
    .params = PARAMS,
    .min_groups = 1,
    .sees_signal = true,
    .needs = needs,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
