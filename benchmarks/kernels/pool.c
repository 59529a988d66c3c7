/* Pooling: passes over tensors, in GB/s; 4 samples in cache, 64 not.

       pool [check|quick|full] [table]

   bench.h tells how it is built, pass.h what the rungs are; pointwise.c checks odd windows, strides, NaN and ties.

   What the steps bought (AVX-512, Zen 4, gcc 12, one thread, beside a triad of 88 GB/s):
       avg 2x2 bwd    7  gathered, windows found per pixel; 50 scattered, since windows do not overlap
       avg 3x3 fwd  0.7  reference; 70 to 90 with sums of columns that slide along the row; 96 with
                      two rows at a time; bwd likewise 80, then 96
       max 3x3 fwd    9  window by window; 61 with sliding maxima of three instructions */
#include "pass.h"

static zs_pool window(const pass *b, int size, int stride) {
    const int pad = size / 2 * (size % 2), P = (b->s.H + 2 * pad - size) / stride + 1;
    return (zs_pool){b->s.C, b->s.H, b->s.W, P, P, {size, size, stride, stride, pad, pad, 1, 1}, false};
}

static void avg_fwd(pass *b, int size, int stride) {
    const zs_pool d = window(b, size, stride);
    const zs_view *y = stride == 1 ? &b->out : &(zs_view){b->out.p, b->half.sn, b->half.sh, b->half.sw};
    b->k.avg_pool_fwd(&d, 0, b->N, &b->v[0], y);
}
static void avg_bwd(pass *b, int size, int stride, bool add) {
    const zs_pool d = window(b, size, stride);
    b->k.avg_pool_bwd(&d, 0, b->N, stride == 1 ? &b->v[1] : &b->half, &b->out, add);
}
static void max_fwd(pass *b, int size, int stride) {
    const zs_pool d = window(b, size, stride);
    const zs_view *y = stride == 1 ? &b->out : &(zs_view){b->out.p, b->half.sn, b->half.sh, b->half.sw};
    b->k.max_pool_fwd(&d, 0, b->N, &b->v[0], y);
}
static void max_bwd(pass *b, int size, int stride, bool add) {
    const zs_pool d = window(b, size, stride);
    b->k.max_pool_bwd(&d, 0, b->N, &b->v[0], stride == 1 ? &b->v[1] : &b->half, &b->out, add);
}

#define LIST(X)                                                                                        \
    X(avg_3x3_fwd, 2, 12, 8, avg_fwd(b, 3, 1))                                                         \
    X(avg_3x3_bwd, 2, 12, 8, avg_bwd(b, 3, 1, false))                                                  \
    X(avg_3x3_bwd_add, 3, 13, 8, avg_bwd(b, 3, 1, true))                                               \
    X(avg_2x2_fwd, 1.25, 6, 8, avg_fwd(b, 2, 2))                                                       \
    X(avg_2x2_bwd, 1.25, 6, 8, avg_bwd(b, 2, 2, false))                                                \
    X(avg_3x3_stride_2_fwd, 1.25, 12, 8, avg_fwd(b, 3, 2))                                             \
    X(avg_3x3_stride_2_bwd, 1.25, 12, 8, avg_bwd(b, 3, 2, false))                                      \
    X(max_3x3_fwd, 2, 0, 0, max_fwd(b, 3, 1))                                                          \
    X(max_3x3_bwd, 3, 9, 54, max_bwd(b, 3, 1, false))                                                  \
    X(max_3x3_stride_2_fwd, 1.25, 0, 0, max_fwd(b, 3, 2))                                              \
    X(max_3x3_stride_2_bwd, 2.25, 4, 24, max_bwd(b, 3, 2, false))                                      \
    X(gap_fwd, 1, 66, 8, b->k.gap_fwd(b->s, 0, b->N, v, &(zs_view){b->out.p, b->s.C, b->s.C, b->s.C})) \
    X(gap_bwd, 1, 2, 8, b->k.gap_bwd(b->s, 0, b->N, &b->one, &b->out, false))
LIST(PASS_FUNCTION)

int main(int argc, char **argv) {
    static const pass_op ops[] = {LIST(PASS_OP)};
    return pass_main(argc, argv, (int)(sizeof ops / sizeof *ops), ops);
}
