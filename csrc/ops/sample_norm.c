#include "ops/sample_norm.h"

zs_status zs_sample_norm_check(const zs_attrs *a, zs_error *err) {
    if (!(a->eps > 0 && a->eps < 1e6))
        return zs_fail(err, ZS_EINVAL, "eps: expected a number above 0 and below 1e6, got %g", a->eps);
    return ZS_OK;
}

int zs_sample_norm_declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    if (!a->affine) return 0;
    decls[0] = (zs_tensor_decl){ZS_ROLE_GAMMA, 1, in->C, 1, 1, 1, false};
    decls[1] = (zs_tensor_decl){ZS_ROLE_BETA, 1, in->C, 1, 1, 1, false};
    return 2;
}

zs_norm zs_sample_norm_dims(const zs_call *c, bool by_position) {
    return (zs_norm){.shape = c->node->shape,
                     .groups = by_position ? 1 : c->node->attrs.groups,
                     .by_position = by_position,
                     .eps = c->node->attrs.eps};
}

static zs_norm dims(const zs_call *c) { return zs_sample_norm_dims(c, c->node->op == ZS_OP_LAYER_NORM); }

size_t zs_sample_norm_scratch_bytes(const zs_call *c) { return 2 * (size_t)c->node->shape.C * sizeof(double); }

void zs_sample_norm_forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_norm d = dims(c);
    c->k->norm_fwd(&d, b->n0, b->n1, &c->in[0].x, c->param[ZS_ROLE_GAMMA], c->param[ZS_ROLE_BETA], &c->y);
}

void zs_sample_norm_backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_norm d = dims(c);
    const zs_operand *x = &c->in[0];
    if (x->dx.p) c->k->norm_project(&d, b->n0, b->n1, &x->x, &c->dy, c->param[ZS_ROLE_GAMMA], NULL, &x->dx, x->add);
}

void zs_sample_norm_backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch) {
    const zs_norm d = dims(c);
    const size_t C = (size_t)c->node->shape.C;
    double *d_gamma = scratch, *d_beta = d_gamma + C;
    c->k->norm_bwd_params(&d, b->n0, b->n1, &c->in[0].x, &c->dy, d_gamma, d_beta);
    c->k->cast(C, d_gamma, dw);
    if (db) c->k->cast(C, d_beta, db);
}
