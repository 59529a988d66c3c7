/* Batch norm, ReLU and sums of terms: passes over tensors, in GB/s; 4 samples in cache, 64 not.

       norm [check|quick|full] [table]

   bench.h tells how it is built, pass.h what the rungs are; pointwise.c checks odd shapes, strides and NaN.

   What the steps bought (AVX-512, Zen 4, gcc 12, one thread, beside a triad of 88 GB/s):
       bn_stats          2.4 GB/s reference, two passes in double, channel by channel
                          90  one pass: chunks of 128 pixels in float, joined by Chan's formula in double
       bn_fwd, C=24       36  reference; 14 with tails by memcpy; 56 with masked loads and stores
       sum_fwd, C=43      60  terms in turn; 65 side by side, 1.1 to 1.6 times as fast on a busy machine
       where channels fill vectors the rest is bound by L2: 100 to 115 of a triad's 105 to 115 */
#include "pass.h"

static void sum_terms(pass *b, int n_terms) {
    const zs_term terms[] = {{b->v[0], 1, b->coef}, {b->v[1], 1, b->coef}, {b->v[2], 1, b->coef}, {b->v[3], 1, NULL}};
    b->k.sum_fwd(b->s, 0, b->N, b->N, n_terms, terms, &b->out);
}

#define LIST(X)                                                                                              \
    X(bn_stats, 1, 16, 16, b->k.bn_stats(b->s, 0, b->N, v, b->sums, b->sums + b->s.C))                       \
    X(bn_fwd, 2, 4, 64, b->k.bn_fwd(b->s, 0, b->N, v, b->coef, &b->out))                                     \
    X(bn_bwd_sums, 2, 66, 16, b->k.bn_bwd_sums(b->s, 0, b->N, v, v + 1, b->coef, b->sums, b->sums + b->s.C)) \
    X(bn_bwd_x, 3, 6, 64, b->k.bn_bwd_x(b->s, 0, b->N, v, v + 1, b->coef, &b->out, false))                   \
    X(bn_bwd_x_add, 4, 6, 64, b->k.bn_bwd_x(b->s, 0, b->N, v, v + 1, b->coef, &b->out, true))                \
    X(relu_fwd, 2, 0, 0, b->k.relu_fwd(b->s, 0, b->N, v, &b->out))                                           \
    X(relu_bwd_add, 4, 1, 16, b->k.relu_bwd(b->s, 0, b->N, v, v + 1, &b->out, true))                         \
    X(sum_fwd_2, 3, 8, 64, sum_terms(b, 2))                                                                  \
    X(sum_fwd_3, 4, 12, 64, sum_terms(b, 3))                                                                 \
    X(sum_fwd_4, 5, 16, 64, sum_terms(b, 4))                                                                 \
    X(scale, 2, 1, 8, b->k.scale(b->s, 0, b->N, v, 0.5, &b->out, false))                                     \
    X(scale_add, 3, 2, 16, b->k.scale(b->s, 0, b->N, v, 0.5, &b->out, true))                                 \
    X(fill_zero, 1, 0, 0, b->k.fill_zero(b->s, 0, b->N, &b->out))
LIST(PASS_FUNCTION)

int main(int argc, char **argv) {
    static const pass_op ops[] = {LIST(PASS_OP)};
    return pass_main(argc, argv, (int)(sizeof ops / sizeof *ops), ops);
}
