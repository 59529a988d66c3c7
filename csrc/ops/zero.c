/* x * 0 of every stride-th pixel: NaN and infinity upstream survive, the gradient is exactly zero. The planner leaves
   it out, with everything that only it reads, unless dead operations are asked for. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (a->stride < 1 || a->stride > 4096)
        return zs_fail(err, ZS_EINVAL, "stride: expected 1 to 4096, got %d", a->stride);
    *out = (zs_shape){in->C, (in->H + a->stride - 1) / a->stride, (in->W + a->stride - 1) / a->stride};
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    zs_view x = c->in[0].x;
    x.sh *= c->node->attrs.stride;
    x.sw *= c->node->attrs.stride;
    c->k->scale(c->node->shape, b->n0, b->n1, &x, 0.0, &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (c->in[0].dx.p && !c->in[0].add) c->k->fill_zero(c->in[0].shape, b->n0, b->n1, &c->in[0].dx);
}

const zs_op zs_op_zero = {
    .name = "zero",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
