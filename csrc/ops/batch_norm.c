/* Batch normalisation over each group: y = gamma (x - mean) / sqrt(var + eps) + beta, biased variance (Ioffe and
   Szegedy, 2015, Algorithm 1), or with given running statistics. Mode identity is removed by the planner.

   Statistics are means and squared deviations of blocks, joined in block order by Chan's formula, in double; so they
   are the same for any number of threads. Backward, with M samples a channel, xhat = (x - mean) rstd:
       dx = gamma rstd (dy - sum(dy)/M - xhat sum(dy xhat)/M)                                                        */
#include <math.h>

#include "ops/batch_norm.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (!(a->eps > 0 && a->eps < 1e6))
        return zs_fail(err, ZS_EINVAL, "eps: expected a number above 0 and below 1e6, got %g", a->eps);
    if (a->bn_mode < 0 || a->bn_mode >= ZS_N_BN_MODES)
        return zs_fail(err, ZS_EINVAL, "mode: expected batch, running or identity, got %d", (int)a->bn_mode);
    *out = *in;
    return ZS_OK;
}

static int declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    int n = 0;
    if (a->affine) {
        decls[n++] = (zs_tensor_decl){ZS_ROLE_GAMMA, 1, in->C, 1, 1, 1, false};
        decls[n++] = (zs_tensor_decl){ZS_ROLE_BETA, 1, in->C, 1, 1, 1, false};
    }
    if (a->bn_mode == ZS_BN_RUNNING) {
        decls[n++] = (zs_tensor_decl){ZS_ROLE_RUNNING_MEAN, 1, in->C, 1, 1, 1, false};
        decls[n++] = (zs_tensor_decl){ZS_ROLE_RUNNING_VAR, 1, in->C, 1, 1, 1, false};
    }
    return n;
}

static void forward_sums(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (c->node->attrs.bn_mode != ZS_BN_BATCH) return;
    const int C = c->node->shape.C;
    double *partial = c->bn.partial + (size_t)b->index * 2 * (size_t)C;
    c->k->bn_stats(c->node->shape, b->n0, b->n1, &c->in[0].x, partial, partial + C);
}

/* Chan, Golub, LeVeque (1983): joins mean and squared deviations of two sets. */
static void join_group(const zs_call *c, int group, double *mean, double *rstd) {
    const int C = c->node->shape.C;
    const size_t pixels = (size_t)c->node->shape.H * (size_t)c->node->shape.W;
    const double total = (double)zs_bn_samples(c);
    for (int i = 0; i < C; i++) {
        double n = 0, m = 0, m2 = 0;
        for (int j = 0; j < zs_bn_blocks(c); j++) {
            const double *partial = c->bn.partial + ((size_t)(group * zs_bn_blocks(c) + j) * 2) * (size_t)C;
            const int n0 = j * c->block_samples;
            const int n1 = n0 + c->block_samples < c->group_size ? n0 + c->block_samples : c->group_size;
            const double nb = (double)((size_t)(n1 - n0) * pixels), delta = partial[i] - m;
            m += delta * (nb / (n + nb));
            m2 += partial[C + i] + delta * delta * (n * nb / (n + nb));
            n += nb;
        }
        mean[i] = m;
        rstd[i] = 1.0 / sqrt(m2 / total + c->node->attrs.eps);
    }
}

static void forward_join(const zs_call *c) {
    const int C = c->node->shape.C;
    for (int g = 0; g < c->n_groups; g++) {
        double *mean = c->bn.mean + (size_t)g * (size_t)C, *rstd = c->bn.rstd + (size_t)g * (size_t)C;
        if (c->node->attrs.bn_mode == ZS_BN_BATCH)
            join_group(c, g, mean, rstd);
        else
            for (int i = 0; i < C; i++) {
                mean[i] = zs_bn_param(c, ZS_ROLE_RUNNING_MEAN, i, 0.0);
                rstd[i] = 1.0 / sqrt(zs_bn_param(c, ZS_ROLE_RUNNING_VAR, i, 1.0) + c->node->attrs.eps);
            }
        double *host = c->bn.host;
        for (int i = 0; i < C; i++) {
            host[i] = mean[i];
            host[C + i] = zs_bn_param(c, ZS_ROLE_GAMMA, i, 1.0) * rstd[i];
            host[2 * C + i] = zs_bn_param(c, ZS_ROLE_BETA, i, 0.0);
        }
        c->k->cast(3 * (size_t)C, host, zs_bn_row(c, c->bn.coef, (size_t)g * 3));
    }
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const void *coef = zs_bn_row(c, c->bn.coef, (size_t)b->group * 3);
    c->k->bn_fwd(c->node->shape, b->n0, b->n1, &c->in[0].x, coef, &c->y);
}

static void backward_sums(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const int C = c->node->shape.C;
    double *partial = c->bn.partial + (size_t)b->index * 2 * (size_t)C;
    const void *coef = zs_bn_row(c, c->bn.coef, (size_t)b->group * 3);
    c->k->bn_bwd_sums(c->node->shape, b->n0, b->n1, &c->dy, &c->in[0].x, coef, partial, partial + C);
}

static void backward_join(const zs_call *c) {
    const int C = c->node->shape.C;
    const bool batch = c->node->attrs.bn_mode == ZS_BN_BATCH;
    const double M = (double)zs_bn_samples(c);
    for (int g = 0; g < c->n_groups; g++) {
        const double *mean = c->bn.mean + (size_t)g * (size_t)C, *rstd = c->bn.rstd + (size_t)g * (size_t)C;
        double *d_beta = c->bn.d_beta + (size_t)g * (size_t)C, *d_gamma = c->bn.d_gamma + (size_t)g * (size_t)C;
        double *host = c->bn.host;
        for (int i = 0; i < C; i++) {
            double s1 = 0, s2 = 0;
            for (int j = 0; j < zs_bn_blocks(c); j++) {
                const double *partial = c->bn.partial + ((size_t)(g * zs_bn_blocks(c) + j) * 2) * (size_t)C;
                s1 += partial[i];
                s2 += partial[C + i];
            }
            d_beta[i] = s1;
            d_gamma[i] = s2 * rstd[i];
            const double a = zs_bn_param(c, ZS_ROLE_GAMMA, i, 1.0) * rstd[i];
            host[i] = mean[i];
            host[C + i] = a;
            host[2 * C + i] = batch ? a * s1 / M : 0.0;
            host[3 * C + i] = batch ? a * rstd[i] * rstd[i] * s2 / M : 0.0;
        }
        c->k->cast(4 * (size_t)C, host, zs_bn_row(c, c->bn.coef_bwd, (size_t)g * 4));
    }
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (!c->in[0].dx.p) return;
    const void *coef = zs_bn_row(c, c->bn.coef_bwd, (size_t)b->group * 4);
    c->k->bn_bwd_x(c->node->shape, b->n0, b->n1, &c->dy, &c->in[0].x, coef, &c->in[0].dx, c->in[0].add);
}

const zs_op zs_op_batch_norm = {
    .name = "batch_norm",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = declare,
    .forward_sums = forward_sums,
    .forward_join = forward_join,
    .forward = forward,
    .backward_sums = backward_sums,
    .backward_join = backward_join,
    .backward = backward,
};
