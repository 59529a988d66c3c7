/* The tangent of a maximum: of (x, t), t at the place of the maximum of x in each window. The place is held fixed: x
   gets no gradient. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    out->C = in->C;
    return zs_window_infer(&a->window, *in, &out->H, &out->W, err);
}

static zs_pool dims(const zs_call *c) {
    const zs_shape in = c->in[0].shape, out = c->node->shape;
    return (zs_pool){.C = in.C, .H = in.H, .W = in.W, .P = out.H, .Q = out.W, .win = c->node->attrs.window};
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    c->k->max_pool_gate(&d, b->n0, b->n1, &c->in[0].x, &c->in[1].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    const zs_operand *t = &c->in[1];
    if (t->dx.p) c->k->max_pool_bwd(&d, b->n0, b->n1, &c->in[0].x, &c->dy, &t->dx, t->add);
}

const zs_op zs_op_max_pool_gate = {
    .name = "max_pool_gate",
    .arity = 2,
    .traits = ZS_TANGENT | ZS_GATE | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
