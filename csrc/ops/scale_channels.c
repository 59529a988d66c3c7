/* y = scale x by channel ("layer scale"; Touvron et al., 2021). */
#include <math.h>
#include <string.h>

#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (!isfinite(a->initial)) return zs_fail(err, ZS_EINVAL, "initial: expected a finite number, got %g", a->initial);
    *out = *in;
    return ZS_OK;
}

static int declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    (void)a;
    decls[0] = (zs_tensor_decl){ZS_ROLE_SCALE, 1, in->C, 1, 1, 1, false};
    return 1;
}

static size_t scratch_bytes(const zs_call *c) { return 2 * (size_t)c->node->shape.C * sizeof(double); }

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    c->k->scale_channels(c->node->shape, b->n0, b->n1, &c->in[0].x, c->param[ZS_ROLE_SCALE], &c->y, false);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_operand *x = &c->in[0];
    if (x->dx.p) c->k->scale_channels(c->node->shape, b->n0, b->n1, &c->dy, c->param[ZS_ROLE_SCALE], &x->dx, x->add);
}

static void backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch) {
    (void)db;
    const size_t C = (size_t)c->node->shape.C;
    double *sum = scratch, *of_sample = sum + C;
    memset(sum, 0, C * sizeof *sum);
    for (int n = b->n0; n < b->n1; n++) {
        c->k->product_sums(c->node->shape, n, n + 1, &c->in[0].x, &c->dy, of_sample);
        for (size_t i = 0; i < C; i++) sum[i] += of_sample[i];
    }
    c->k->cast(C, sum, dw);
}

const zs_op zs_op_scale_channels = {
    .name = "scale_channels",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = declare,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = backward,
    .backward_weights = backward_weights,
};
