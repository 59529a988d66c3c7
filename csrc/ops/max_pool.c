/* Maximum of a window; padding counts as minus infinity. The gradient goes to the first maximum (the last NaN). */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    const zs_window *w = &a->window;
    if (zs_window_check(w, err) != ZS_OK) return err->status;
    if (2 * w->pad_h > w->R || 2 * w->pad_w > w->S)
        return zs_fail(err, ZS_EINVAL, "padding: expected at most half the kernel (%d, %d), got (%d, %d)", w->R, w->S,
                       w->pad_h, w->pad_w);
    out->C = in->C;
    return zs_window_infer(w, *in, &out->H, &out->W, err);
}

static zs_pool dims(const zs_call *c) {
    const zs_shape in = c->in[0].shape, out = c->node->shape;
    return (zs_pool){.C = in.C, .H = in.H, .W = in.W, .P = out.H, .Q = out.W, .win = c->node->attrs.window};
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    c->k->max_pool_fwd(&d, b->n0, b->n1, &c->in[0].x, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_pool d = dims(c);
    if (c->in[0].dx.p) c->k->max_pool_bwd(&d, b->n0, b->n1, &c->in[0].x, &c->dy, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_max_pool = {
    .name = "max_pool",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
