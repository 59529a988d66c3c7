/* Softmax of the channels at every position, of each of `groups` equal runs of them. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (a->groups < 1 || in->C % a->groups != 0)
        return zs_fail(err, ZS_EINVAL, "groups: expected a divisor of the %d channels, got %d", in->C, a->groups);
    *out = *in;
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->softmax_fwd(c->node->shape, c->node->attrs.groups, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0];
    if (x->dx.p) c->k->softmax_bwd(c->node->shape, c->node->attrs.groups, b->n0, b->n1, &c->y, &c->dy, &x->dx, x->add);
}

const zs_op zs_op_softmax = {
    .name = "softmax",
    .arity = 1,
    .traits = ZS_BWD_READS_OUT,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
