/* Product of two maps as matrices of positions x channels, head by head (a: M positions, `heads` runs of K channels):

       transpose_b   b: N positions, runs of K    y[m, head N + n] = scale sum_k a[m, head K + k] b[n, head K + k]
       otherwise     b: K positions, runs of N    y[m, head N + n] = scale sum_k a[m, head K + k] b[k, head N + n]

   Gradients are such products, too: da = dy b^T or dy b, db = dy^T a or a^T dy. */
#include <math.h>

#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    const int64_t positions = (int64_t)in[1].H * in[1].W, heads = a->heads;
    if (heads < 1 || in[0].C % heads != 0 || in[1].C % heads != 0)
        return zs_fail(err, ZS_EINVAL, "heads: expected a divisor of the %d channels of a and the %d of b, got %d",
                       in[0].C, in[1].C, a->heads);
    if (!isfinite(a->scale)) return zs_fail(err, ZS_EINVAL, "scale: expected a finite number, got %g", a->scale);
    if (a->transpose_b && in[0].C != in[1].C)
        return zs_fail(err, ZS_EINVAL, "b: expected the %d channels of a, got %d", in[0].C, in[1].C);
    if (!a->transpose_b && in[0].C != heads * positions)
        return zs_fail(err, ZS_EINVAL,
                       "a: expected %lld channels, one for each of the %lld positions of b and %d head%s, got %d",
                       (long long)(heads * positions), (long long)positions, a->heads, heads > 1 ? "s" : "", in[0].C);
    const int64_t C = a->transpose_b ? heads * positions : in[1].C;
    if (C > ZS_MAX_DIM)
        return zs_fail(err, ZS_EINVAL,
                       "b: expected at most %d channels of the product (heads times positions), got %lld", ZS_MAX_DIM,
                       (long long)C);
    *out = (zs_shape){(int)C, in[0].H, in[0].W};
    return ZS_OK;
}

/* y, da, db; the second operand's width is 0 while sizes are asked for, before it is bound. */
typedef struct products {
    zs_matmul y, da, db;
} products;

static products dims(const zs_call *c) {
    const zs_attrs *at = &c->node->attrs;
    const zs_shape a = c->in[0].shape, out = c->node->shape;
    const int M = a.H * a.W, K = a.C / at->heads, N = out.C / at->heads, wa = a.W,
              wb = c->n_in > 1 ? c->in[1].shape.W : 0;
    const zs_matmul y = {at->heads, M, N, K, wa, wb, wa, false, at->transpose_b, at->scale};
    const zs_matmul da = {at->heads, M, K, N, wa, wb, wa, false, !at->transpose_b, at->scale};
    const zs_matmul db = at->transpose_b ? (zs_matmul){at->heads, N, K, M, wa, wa, wb, true, false, at->scale}
                                         : (zs_matmul){at->heads, K, N, M, wa, wa, wb, true, false, at->scale};
    return (products){y, da, db};
}

static size_t scratch_bytes(const zs_call *c) {
    const products d = dims(c);
    const size_t n[] = {c->k->matmul_scratch_bytes(&d.y), c->k->matmul_scratch_bytes(&d.da),
                        c->k->matmul_scratch_bytes(&d.db)};
    size_t most = 0;
    for (int i = 0; i < 3; i++)
        if (n[i] > most) most = n[i];
    return most;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    const products d = dims(c);
    c->k->matmul(&d.y, b->n0, b->n1, &c->in[0].x, &c->in[1].x, &c->y, false, scratch);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    const products d = dims(c);
    const zs_operand *x = &c->in[0], *w = &c->in[1];
    if (x->dx.p) c->k->matmul(&d.da, b->n0, b->n1, &c->dy, &w->x, &x->dx, x->add, scratch);
    if (!w->dx.p) return;
    if (c->node->attrs.transpose_b)
        c->k->matmul(&d.db, b->n0, b->n1, &c->dy, &x->x, &w->dx, w->add, scratch);
    else
        c->k->matmul(&d.db, b->n0, b->n1, &x->x, &c->dy, &w->dx, w->add, scratch);
}

const zs_op zs_op_matmul = {
    .name = "matmul",
    .arity = 2,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = backward,
};
