/* Weighted sum of its inputs in their order. Terms that are batch norms are normalised while they are read. */
#include "core/op.h"

enum { MAX_TERMS = 64 }; /* per launch; longer sums go on from the partial sum */

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a;
    for (int i = 1; i < n_in; i++)
        if (in[i].C != in[0].C || in[i].H != in[0].H || in[i].W != in[0].W)
            return zs_fail(err, ZS_EINVAL, "input %d has shape (%d, %d, %d), input 0 has (%d, %d, %d)", i, in[i].C,
                           in[i].H, in[i].W, in[0].C, in[0].H, in[0].W);
    *out = in[0];
    return ZS_OK;
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    zs_term terms[MAX_TERMS];
    int n = 0;
    for (int i = 0; i < c->n_in; i++) {
        if (n == MAX_TERMS) {
            c->k->sum_fwd(c->node->shape, b->n0, b->n1, c->group_size, n, terms, &c->y);
            n = 0;
            terms[n++] = (zs_term){.x = c->y, .coef = 1.0};
        }
        terms[n++] = (zs_term){.x = c->in[i].x, .coef = c->in[i].coef, .bn = c->in[i].bn};
    }
    c->k->sum_fwd(c->node->shape, b->n0, b->n1, c->group_size, n, terms, &c->y);
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dx.p) c->k->scale(c->node->shape, b->n0, b->n1, &c->dy, c->in[i].coef, &c->in[i].dx, c->in[i].add);
}

const zs_op zs_op_add = {
    .name = "add",
    .arity = ZS_ANY,
    .traits = ZS_READS_BN | ZS_KEEPS_ZERO,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
