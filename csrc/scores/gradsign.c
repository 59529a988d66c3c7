/* GradSign (Zhang and Jia, ICLR 2022, Algorithm 1, Eq. 3): sum over weights of |sum over samples of sign(g_ij)|, with
   sign 0 for |g| <= zero_tol; groups of one. `mean` divides by the number of counted weights, dead ones included (the
   released gradsign.py); the paper takes the sum. Sums of signs are integers, so the value is exact.

   The share of noise is taken on the first sample: its gradients that are not zero but smaller than 4 eps times its
   largest one, or times 1/2, the order of one sample's gradient by its logits. Where batch norm feeds the pooling
   directly, whole layers are zero in real arithmetic and have the sign of rounding. */
#include <float.h>
#include <stdlib.h>

#include "scores/score.h"

enum { ZERO_TOL, MEAN };
enum { N_EXPONENTS = 2200, EXPONENT_ZERO = 1100 }; /* as kernels.h: exponents */

static const char *const PARAMS[] = {"zero_tol", "mean", NULL};

static size_t signs_bytes(const zs_tensor *t) { return zs_round_up(t->size * sizeof(int32_t), ZS_ALIGN); }

static size_t state_bytes(const zs_score_run *run, const zs_tensor *t) {
    (void)run;
    return signs_bytes(t) + N_EXPONENTS * sizeof(int64_t);
}

static void observe(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw) {
    run->kernels->signs(t->size, dw, run->params[ZERO_TOL], state);
    if (group == 0) run->kernels->exponents(t->size, dw, (int64_t *)((char *)state + signs_bytes(t)));
}

static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)run, (void)counts;
    *live = true;
    if (!state) return 0.0;
    int64_t total = 0;
    for (size_t i = 0; i < t->size; i++) total += abs(((const int32_t *)state)[i]);
    return (double)total;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const zs_graph *graph = run->graph;
    void *const *states = f->states;
    const int bits = run->kernels->dtype == ZS_F64 ? DBL_MANT_DIG : FLT_MANT_DIG;
    int64_t all = 0, below = 0;
    int top = EXPONENT_ZERO - 1; /* 2^-1 */
    for (int pass = 0; pass < 2; pass++)
        for (int t = 0; t < graph->n_tensors; t++) {
            if (!states[t]) continue;
            const int64_t *e = (const int64_t *)((const char *)states[t] + signs_bytes(&graph->tensors[t]));
            for (int i = 1; i < N_EXPONENTS; i++) {
                if (pass == 0 && e[i] > 0 && i > top) top = i;
                if (pass == 1) all += e[i];
                if (pass == 1 && i < top - bits + 3) below += e[i]; /* < 4 eps 2^top, eps = 2^(1 - bits) */
            }
        }
    run->extra = all > 0 ? (double)below / (double)all : 0.0;
    if (run->params[MEAN] != 0) {
        size_t n = 0;
        for (int t = 0; t < graph->n_tensors; t++)
            if (graph->tensors[t].counted) n += graph->tensors[t].size;
        if (n > 0) run->value /= (double)n;
    }
}

const zs_score zs_score_gradsign = {
    .name = "gradsign",
    .params = PARAMS,
    .min_groups = 1,
    .extra_name = "noise_share",
    .keeps_signs = true,
    .sees_signal = true,
    .state_bytes = state_bytes,
    .observe = observe,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
