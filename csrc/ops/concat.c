/* Concatenation of channels. Inputs that the planner could place inside the output are views and cost nothing (their
   operand points at the right place already); the others are copied. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a;
    int64_t C = 0;
    for (int i = 0; i < n_in; i++) {
        if (in[i].H != in[0].H || in[i].W != in[0].W)
            return zs_fail(err, ZS_EINVAL, "input %d is %d x %d, input 0 is %d x %d", i, in[i].H, in[i].W, in[0].H,
                           in[0].W);
        C += in[i].C;
    }
    if (C > ZS_MAX_DIM) return zs_fail(err, ZS_EINVAL, "%lld channels, at most %d", (long long)C, ZS_MAX_DIM);
    *out = (zs_shape){(int)C, in[0].H, in[0].W};
    return ZS_OK;
}

static zs_view slice(const zs_call *c, zs_view v, int channel) {
    v.p = (char *)v.p + (size_t)channel * zs_dtype_size(c->k->dtype);
    return v;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    for (int i = 0, channel = 0; i < c->n_in; channel += c->in[i].shape.C, i++) {
        const zs_view y = slice(c, c->y, channel);
        if (y.p != c->in[i].x.p) c->k->scale(c->in[i].shape, b->n0, b->n1, &c->in[i].x, 1.0, &y, false);
    }
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    for (int i = 0, channel = 0; i < c->n_in; channel += c->in[i].shape.C, i++) {
        const zs_view dy = slice(c, c->dy, channel);
        if (c->in[i].dx.p && c->in[i].dx.p != dy.p)
            c->k->scale(c->in[i].shape, b->n0, b->n1, &dy, 1.0, &c->in[i].dx, c->in[i].add);
    }
}

const zs_op zs_op_concat = {
    .name = "concat",
    .arity = ZS_ANY,
    .traits = ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
