/* The tangent of a group norm or a layer norm along a tangent t of its input x, gamma and beta standing still: of
   (x, t)

       gamma r (t - mean(t) - xhat mean(t xhat))

   over each cell; kernels.h has its gradients. */
#include "ops/sample_norm.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static zs_norm dims(const zs_call *c) { return zs_sample_norm_dims(c, c->node->attrs.by_position); }

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_norm d = dims(c);
    const zs_view *x = &c->in[0].x, *t = &c->in[1].x;
    c->k->norm_project(&d, b->n0, b->n1, x, t, NULL, c->param[ZS_ROLE_GAMMA], &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_norm d = dims(c);
    const void *gamma = c->param[ZS_ROLE_GAMMA];
    const zs_operand *x = &c->in[0], *t = &c->in[1];
    if (t->dx.p) c->k->norm_project(&d, b->n0, b->n1, &x->x, &c->dy, gamma, NULL, &t->dx, t->add);
    if (x->dx.p) c->k->norm_curve(&d, b->n0, b->n1, &x->x, &t->x, &c->dy, gamma, &x->dx, x->add);
}

const zs_op zs_op_norm_tangent = {
    .name = "norm_tangent",
    .arity = 2,
    .traits = ZS_TANGENT | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
