/* The tangent of a ReLU: of (x, t), t where x > 0 (or NaN), 0 elsewhere. The place is fixed: x gets no gradient. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->relu_bwd(c->node->shape, b->n0, b->n1, &c->in[0].x, &c->in[1].x, &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *t = &c->in[1];
    if (t->dx.p) c->k->relu_bwd(c->node->shape, b->n0, b->n1, &c->in[0].x, &c->dy, &t->dx, t->add);
}

const zs_op zs_op_relu_gate = {
    .name = "relu_gate",
    .arity = 2,
    .traits = ZS_TANGENT | ZS_GATE | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
