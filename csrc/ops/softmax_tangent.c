/* The tangent of a softmax: of (y, t), its output and the tangent of its input, y (t - sum(y t)) over each run. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const int groups = c->node->attrs.groups;
    c->k->softmax_bwd(c->node->shape, groups, b->n0, b->n1, &c->in[0].x, &c->in[1].x, &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const int groups = c->node->attrs.groups;
    const zs_operand *y = &c->in[0], *t = &c->in[1];
    if (t->dx.p) c->k->softmax_bwd(c->node->shape, groups, b->n0, b->n1, &y->x, &c->dy, &t->dx, t->add);
    if (y->dx.p) c->k->softmax_curve(c->node->shape, groups, b->n0, b->n1, &y->x, &t->x, &c->dy, &y->dx, y->add);
}

const zs_op zs_op_softmax_tangent = {
    .name = "softmax_tangent",
    .arity = 2,
    .traits = ZS_TANGENT | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
