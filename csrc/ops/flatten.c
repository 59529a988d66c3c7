/* (C, H, W) -> (C H W, 1, 1) in PyTorch's order: channel after channel. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in;
    const int64_t pixels = (int64_t)in->H * in->W;
    if (pixels > ZS_MAX_DIM / in->C)
        return zs_fail(err, ZS_EINVAL, "input: expected at most %d elements, got (%d, %d, %d)", ZS_MAX_DIM, in->C,
                       in->H, in->W);
    *out = (zs_shape){in->C * (int)pixels, 1, 1};
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->flatten_fwd(c->in[0].shape, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (c->in[0].dx.p) c->k->flatten_bwd(c->in[0].shape, b->n0, b->n1, &c->dy, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_flatten = {
    .name = "flatten",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
