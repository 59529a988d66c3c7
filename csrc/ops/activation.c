/* Pointwise functions f of x; NaN passes. At kinks f' is what PyTorch has there.

                    f(x)                    f'(x)                                        f''(x)
       relu6        min(max(x, 0), 6)       1 for 0 < x < 6                              0
       sigmoid      s = 1 / (1 + e^-x)      s (1 - s)                                    s (1 - s) (1 - 2 s)
       silu         x s                     s + x s (1 - s)                              s (1 - s) (2 + x (1 - 2 s))
       hard_sigmoid relu6(x + 3) / 6        1/6 for -3 < x < 3                           0
       hard_swish   x relu6(x + 3) / 6      0 up to -3, x/3 + 1/2 below 3, 1 from there  1/3 for -3 < x < 3
       gelu         x P, normal P(X < x)    P + x p, its density p                       p (2 - x^2)
       tanh         tanh x                  1 - tanh^2 x                                 -2 tanh x (1 - tanh^2 x)

   Where a batch norm lies before, it is applied while x is read, forward and backward, and never stored.

   The tangent of f along a tangent t of x is y = f'(x) t. Backward: dt = f'(x) dy, dx = f''(x) t dy. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0];
    c->k->activation_fwd(c->node->op, c->node->shape, b->n0, b->n1, c->group_size, &x->x, x->bn, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0];
    if (x->dx.p)
        c->k->activation_bwd(c->node->op, c->node->shape, b->n0, b->n1, c->group_size, &x->x, x->bn, &c->dy, &x->dx,
                             x->add);
}

#define ACTIVATION(op, keeps_zero)                                    \
    const zs_op zs_op_##op = {.name = #op,                            \
                              .arity = 1,                             \
                              .traits = ZS_READS_BN | ZS_BWD_READS_IN | keeps_zero, \
                              .infer = infer,                         \
                              .forward = forward,                     \
                              .backward = backward}

ACTIVATION(relu6, ZS_KEEPS_ZERO);
ACTIVATION(sigmoid, 0);
ACTIVATION(silu, ZS_KEEPS_ZERO);
ACTIVATION(hard_sigmoid, 0);
ACTIVATION(hard_swish, ZS_KEEPS_ZERO);
ACTIVATION(gelu, ZS_KEEPS_ZERO);
ACTIVATION(tanh, ZS_KEEPS_ZERO);

static void tangent_forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0], *t = &c->in[1];
    c->k->activation_bwd(c->node->attrs.of, c->node->shape, b->n0, b->n1, c->group_size, &x->x, x->bn, &t->x, &c->y,
                         false);
}

static void tangent_backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0], *t = &c->in[1];
    const zs_op_kind f = c->node->attrs.of;
    const zs_shape s = c->node->shape;
    if (x->dx.p) c->k->activation_bwd2(f, s, b->n0, b->n1, c->group_size, &x->x, x->bn, &t->x, &c->dy, &x->dx, x->add);
    if (t->dx.p) c->k->activation_bwd(f, s, b->n0, b->n1, c->group_size, &x->x, x->bn, &c->dy, &t->dx, t->add);
}

const zs_op zs_op_activation_tangent = {
    .name = "activation_tangent",
    .arity = 2,
    .traits = ZS_READS_BN | ZS_TANGENT | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = tangent_forward,
    .backward = tangent_backward,
};
