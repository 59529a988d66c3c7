/* Fully connected layer over the positions of a map, the same for each channel, with P = H W:

       y[p, c] = bias[p] + sum_q w[p, q] x[q, c]

   Products of matrices: inside, the weight is P x P with the inputs q as rows, a view of one row that all samples
   read. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in;
    if ((int64_t)in->H * in->W > ZS_MAX_DIM)
        return zs_fail(err, ZS_EINVAL, "input: expected at most %d positions, got %d x %d", ZS_MAX_DIM, in->H, in->W);
    *out = *in;
    return ZS_OK;
}

static int declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    const int P = in->H * in->W;
    int n = 0;
    decls[n++] = (zs_tensor_decl){ZS_ROLE_WEIGHT, 2, P, P, 1, 1, true};
    if (a->bias) decls[n++] = (zs_tensor_decl){ZS_ROLE_BIAS, 1, P, 1, 1, 1, false};
    return n;
}

static int n_positions(const zs_call *c) { return c->node->shape.H * c->node->shape.W; }

static zs_view weight_view(const zs_call *c, const void *w) {
    return (zs_view){.p = (void *)w, .sn = 0, .sh = 0, .sw = n_positions(c)};
}

/* y = w^T x and dx = w dy of the weight as it lies */
static zs_matmul dims(const zs_call *c, bool forward) {
    const zs_shape s = c->node->shape;
    const int P = n_positions(c);
    return (zs_matmul){.heads = 1,
                       .M = P,
                       .N = s.C,
                       .K = P,
                       .width_a = P,
                       .width_b = s.W,
                       .width_y = s.W,
                       .a_turned = forward,
                       .scale = 1.0};
}

/* dw = x dy^T */
static zs_matmul weight_dims(const zs_call *c) {
    const zs_shape s = c->node->shape;
    const int P = n_positions(c);
    return (zs_matmul){.heads = 1,
                       .M = P,
                       .N = P,
                       .K = s.C,
                       .width_a = s.W,
                       .width_b = s.W,
                       .width_y = P,
                       .b_turned = true,
                       .scale = 1.0};
}

static size_t scratch_bytes(const zs_call *c) {
    const zs_matmul d[] = {dims(c, true), dims(c, false), weight_dims(c)};
    size_t most = 0;
    for (int i = 0; i < 3; i++) {
        const size_t n = c->k->matmul_scratch_bytes(&d[i]);
        if (n > most) most = n;
    }
    return most;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    const zs_matmul d = dims(c, true);
    const zs_view w = weight_view(c, c->param[ZS_ROLE_WEIGHT]);
    const void *bias = c->param[ZS_ROLE_BIAS];
    if (bias) c->k->spatial_bias_fwd(c->node->shape, b->n0, b->n1, bias, &c->y);
    c->k->matmul(&d, b->n0, b->n1, &w, &c->in[0].x, &c->y, bias != NULL, scratch);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    if (!c->in[0].dx.p) return;
    const zs_matmul d = dims(c, false);
    const zs_view w = weight_view(c, c->param[ZS_ROLE_WEIGHT]);
    c->k->matmul(&d, b->n0, b->n1, &w, &c->dy, &c->in[0].dx, c->in[0].add, scratch);
}

static void backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch) {
    const zs_matmul d = weight_dims(c);
    const zs_view w = weight_view(c, dw);
    for (int n = b->n0; n < b->n1; n++) c->k->matmul(&d, n, n + 1, &c->in[0].x, &c->dy, &w, n > b->n0, scratch);
    if (db) c->k->spatial_bias_bwd(c->node->shape, b->n0, b->n1, &c->dy, db);
}

const zs_op zs_op_linear_spatial = {
    .name = "linear_spatial",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = declare,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = backward,
    .backward_weights = backward_weights,
};
