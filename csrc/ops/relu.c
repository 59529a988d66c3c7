/* max(x, 0); NaN passes. Usually read by the next convolution and never stored. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->relu_fwd(c->node->shape, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (c->in[0].dx.p) c->k->relu_bwd(c->node->shape, b->n0, b->n1, &c->y, &c->dy, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_relu = {
    .name = "relu",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_OUT,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
