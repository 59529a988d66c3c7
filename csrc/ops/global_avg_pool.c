/* Mean over all pixels: (C, H, W) -> (C, 1, 1). */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = (zs_shape){in->C, 1, 1};
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->gap_fwd(c->in[0].shape, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (c->in[0].dx.p) c->k->gap_bwd(c->in[0].shape, b->n0, b->n1, &c->dy, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_global_avg_pool = {
    .name = "global_avg_pool",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
