/* Mean of a window, over its cells inside the image or over all of them (count_include_pad). */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    const zs_window *w = &a->window;
    if (zs_window_check(w, err) != ZS_OK) return err->status;
    if (2 * w->pad_h > w->R || 2 * w->pad_w > w->S)
        return zs_fail(err, ZS_EINVAL, "padding: expected at most half the kernel (%d, %d), got (%d, %d)", w->R, w->S,
                       w->pad_h, w->pad_w);
    if (w->dil_h != 1 || w->dil_w != 1)
        return zs_fail(err, ZS_EINVAL, "dilation: average pooling has none, got (%d, %d)", w->dil_h, w->dil_w);
    out->C = in->C;
    return zs_window_infer(w, *in, &out->H, &out->W, err);
}

static zs_pool dims(const zs_call *c) {
    const zs_shape in = c->in[0].shape, out = c->node->shape;
    return (zs_pool){.C = in.C,
                     .H = in.H,
                     .W = in.W,
                     .P = out.H,
                     .Q = out.W,
                     .win = c->node->attrs.window,
                     .count_include_pad = c->node->attrs.count_include_pad};
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    c->k->avg_pool_fwd(&d, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    if (c->in[0].dx.p) c->k->avg_pool_bwd(&d, b->n0, b->n1, &c->dy, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_avg_pool = {
    .name = "avg_pool",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
