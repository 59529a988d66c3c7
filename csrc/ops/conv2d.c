/* Convolution with groups, dilation and bias; zero padding. Reads relu(x) without storing it. */
#include "ops/conv2d.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (a->K < 1 || a->K > ZS_MAX_DIM)
        return zs_fail(err, ZS_EINVAL, "out_channels: expected 1 to %d, got %d", ZS_MAX_DIM, a->K);
    if (a->groups < 1 || in->C % a->groups != 0 || a->K % a->groups != 0)
        return zs_fail(err, ZS_EINVAL, "groups: expected a divisor of %d input and %d output channels, got %d", in->C,
                       a->K, a->groups);
    out->C = a->K;
    return zs_window_infer(&a->window, *in, &out->H, &out->W, err);
}

static int declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    int n = 0;
    decls[n++] = (zs_tensor_decl){ZS_ROLE_WEIGHT, 4, a->K, in->C / a->groups, a->window.R, a->window.S, true};
    if (a->bias) decls[n++] = (zs_tensor_decl){ZS_ROLE_BIAS, 1, a->K, 1, 1, 1, false};
    return n;
}

static zs_conv2d dims(const zs_call *c) {
    const zs_shape in = c->in[0].shape, out = c->node->shape;
    return (zs_conv2d){.C = in.C,
                       .H = in.H,
                       .W = in.W,
                       .K = out.C,
                       .P = out.H,
                       .Q = out.W,
                       .groups = c->node->attrs.groups,
                       .win = c->node->attrs.window,
                       .relu = c->in[0].relu,
                       .algo = c->algo};
}

size_t zs_conv2d_packed_bytes(const zs_call *c, bool back) {
    const zs_conv2d d = dims(c);
    return c->k->conv2d_packed_bytes(&d, back);
}

void zs_conv2d_pack(const zs_call *c, bool back) {
    const zs_conv2d d = dims(c);
    c->k->conv2d_pack(&d, c->param[ZS_ROLE_WEIGHT], back, back ? c->packed_back : c->packed);
}

size_t zs_conv2d_scratch_bytes(const zs_call *c) {
    const zs_conv2d d = dims(c);
    return c->k->conv2d_scratch_bytes(&d);
}

void zs_conv2d_forward(const zs_call *c, const zs_block *b, void *scratch) {
    const zs_conv2d d = dims(c);
    c->k->conv2d_fwd(&d, b->n0, b->n1, &c->in[0].x, c->packed, c->param[ZS_ROLE_BIAS], &c->y, scratch);
}

void zs_conv2d_backward(const zs_call *c, const zs_block *b, void *scratch) {
    if (!c->in[0].dx.p) return;
    const zs_conv2d d = dims(c);
    c->k->conv2d_bwd_x(&d, b->n0, b->n1, &c->dy, c->packed_back, &c->in[0].x, &c->in[0].dx, c->in[0].add, scratch);
}

bool zs_conv2d_fuses(const zs_call *c) {
    const zs_conv2d d = dims(c);
    return c->k->conv2d_bwd && c->k->conv2d_algo(&d) != ZS_ALGO_DIRECT;
}

void zs_conv2d_backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch) {
    const zs_conv2d d = dims(c);
    const zs_operand *in = &c->in[0];
    if (in->dx.p && zs_conv2d_fuses(c))
        c->k->conv2d_bwd(&d, b->n0, b->n1, &in->x, &c->dy, c->packed_back, &in->dx, in->add, dw, db, scratch);
    else
        c->k->conv2d_bwd_w(&d, b->n0, b->n1, &in->x, &c->dy, dw, db, scratch);
}

const zs_op zs_op_conv2d = {
    .name = "conv2d",
    .arity = 1,
    .traits = ZS_READS_RELU | ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = declare,
    .packed_bytes = zs_conv2d_packed_bytes,
    .pack = zs_conv2d_pack,
    .scratch_bytes = zs_conv2d_scratch_bytes,
    .forward = zs_conv2d_forward,
    .backward = zs_conv2d_backward,
    .fuses = zs_conv2d_fuses,
    .backward_weights = zs_conv2d_backward_weights,
};
