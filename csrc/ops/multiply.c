/* Product of a and b, element by element; where b has one channel, row or column, it stands for all of a. So b may
   weigh a's channels (C, 1, 1), as squeeze-and-excitation does, its pixels (1, H, W), or its elements. Backward:
       da = dy b,  db = sum of dy a over the axes that b has once */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in;
    const zs_shape x = in[0], f = in[1];
    if ((f.C != x.C && f.C != 1) || (f.H != x.H && f.H != 1) || (f.W != x.W && f.W != 1))
        return zs_fail(err, ZS_EINVAL,
                       "input 1 has shape (%d, %d, %d), expected that of input 0, (%d, %d, %d), or 1s in it", f.C, f.H,
                       f.W, x.C, x.H, x.W);
    *out = x;
    return ZS_OK;
}

/* b as if it had a's rows and columns. */
static zs_view spread(zs_view v, zs_shape b) {
    if (b.H == 1) v.sh = 0;
    if (b.W == 1) v.sw = 0;
    return v;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_view f = spread(c->in[1].x, c->in[1].shape);
    c->k->multiply(c->node->shape, b->n0, b->n1, &c->in[0].x, &f, c->in[1].shape.C == 1, &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0], *f = &c->in[1];
    const zs_view spread_f = spread(f->x, f->shape);
    if (x->dx.p) c->k->multiply(c->node->shape, b->n0, b->n1, &c->dy, &spread_f, f->shape.C == 1, &x->dx, x->add);
    if (f->dx.p) c->k->multiply_sums(c->node->shape, f->shape, b->n0, b->n1, &x->x, &c->dy, &f->dx, f->add);
}

const zs_op zs_op_multiply = {
    .name = "multiply",
    .arity = 2,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
