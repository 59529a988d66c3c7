/* The tangent of batch normalisation along a tangent t of its input x (gamma and beta stand still). With r = 1 /
   sqrt(var + eps), xhat = (x - mean) r, and means over the M samples of a channel:

       y  = gamma r (t - m1 - xhat m2),   m1 = mean(t), m2 = mean(xhat t)

   The formula is that of the gradient of batch norm, and so are the kernels. Backward, with u the gradient of y,
   q = mean(u xhat) and k = mean(u (t - m1)):

       dt = gamma r (u - mean(u) - xhat q)
       dx = -gamma r^2 (q (t - m1) + m2 (u - mean(u)) + xhat (k - 3 m2 q))

   Inputs are (x, t); with running statistics y = gamma r t, and t is the only one. The node shares the gamma of the
   batch norm whose statistics it reads (attrs.primal). State, in rows of C: partial 4 a block; mean and rstd hold m1
   and m2; coef 4 for bn_bwd_x and m1; coef_bwd 4 each for dt and the two terms of dx. */
#include <string.h>

#include "ops/batch_norm.h"

enum { PARTIALS = 4, FORWARD = 5, BACKWARD = 12 };

static bool is_batch(const zs_call *c) { return c->node->attrs.bn_mode == ZS_BN_BATCH; }

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in, (void)err;
    *out = *in;
    return ZS_OK;
}

static double *partial_at(const zs_call *c, int block) {
    return c->bn.partial + (size_t)block * PARTIALS * (size_t)c->node->shape.C;
}

/* Sums over a group of row `row` of its blocks' partial sums. */
static double sum_of(const zs_call *c, int group, int row, int channel) {
    const int n = zs_bn_blocks(c), C = c->node->shape.C;
    double sum = 0;
    for (int j = 0; j < n; j++) sum += partial_at(c, group * n + j)[row * C + channel];
    return sum;
}

static void forward_sums(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (!is_batch(c)) return;
    double *partial = partial_at(c, b->index);
    const void *mean = zs_bn_row(c, c->primal->coef, (size_t)b->group * 3);
    c->k->bn_bwd_sums(c->node->shape, b->n0, b->n1, &c->in[1].x, &c->in[0].x, mean, partial,
                      partial + c->node->shape.C);
}

static void forward_join(const zs_call *c) {
    const int C = c->node->shape.C;
    const double M = (double)zs_bn_samples(c);
    for (int g = 0; g < c->n_groups; g++) {
        const size_t at = (size_t)g * (size_t)C;
        const double *mean = c->primal->mean + at, *rstd = c->primal->rstd + at;
        double *m1 = c->bn.mean + at, *m2 = c->bn.rstd + at, *host = c->bn.host;
        memset(host, 0, FORWARD * (size_t)C * sizeof *host);
        for (int i = 0; i < C; i++) {
            const double a = host[C + i] = zs_bn_param(c, ZS_ROLE_GAMMA, i, 1.0) * rstd[i];
            m1[i] = is_batch(c) ? sum_of(c, g, 0, i) / M : 0.0;
            m2[i] = is_batch(c) ? rstd[i] * sum_of(c, g, 1, i) / M : 0.0;
            if (!is_batch(c)) continue;
            host[i] = mean[i];
            host[2 * C + i] = a * m1[i];
            host[3 * C + i] = a * rstd[i] * m2[i];
            host[4 * C + i] = m1[i];
        }
        c->k->cast(FORWARD * (size_t)C, host, zs_bn_row(c, c->bn.coef, (size_t)g * FORWARD));
    }
}

static void forward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_view *t = &c->in[c->n_in - 1].x;
    const void *coef = zs_bn_row(c, c->bn.coef, (size_t)b->group * FORWARD);
    c->k->bn_bwd_x(c->node->shape, b->n0, b->n1, t, &c->in[0].x, coef, &c->y, false);
}

static void backward_sums(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    if (!is_batch(c)) return;
    const zs_shape s = c->node->shape;
    double *partial = partial_at(c, b->index);
    const void *mean = zs_bn_row(c, c->primal->coef, (size_t)b->group * 3);
    const void *m1 = zs_bn_row(c, c->bn.coef, (size_t)b->group * FORWARD + 4);
    c->k->bn_bwd_sums(s, b->n0, b->n1, &c->dy, &c->in[0].x, mean, partial, partial + s.C);
    c->k->bn_bwd_sums(s, b->n0, b->n1, &c->dy, &c->in[1].x, m1, partial + 2 * s.C, partial + 3 * s.C);
}

static void backward_join(const zs_call *c) {
    const int C = c->node->shape.C;
    const double M = (double)zs_bn_samples(c);
    for (int g = 0; g < c->n_groups && is_batch(c); g++) {
        const size_t at = (size_t)g * (size_t)C;
        const double *mean = c->primal->mean + at, *rstd = c->primal->rstd + at;
        const double *m1 = c->bn.mean + at, *m2 = c->bn.rstd + at;
        double *dt = c->bn.host, *first = dt + 4 * C, *second = first + 4 * C;
        for (int i = 0; i < C; i++) {
            const double r = rstd[i], a = zs_bn_param(c, ZS_ROLE_GAMMA, i, 1.0) * r;
            const double u = sum_of(c, g, 0, i) / M, q = r * sum_of(c, g, 1, i) / M, k = sum_of(c, g, 3, i) / M;
            dt[i] = second[i] = mean[i];
            dt[C + i] = a;
            dt[2 * C + i] = a * u;
            dt[3 * C + i] = a * r * q;
            first[i] = m1[i]; /* of u and t */
            first[C + i] = -a * r * m2[i];
            first[2 * C + i] = -a * r * m2[i] * u;
            first[3 * C + i] = a * r * q;
            second[C + i] = second[2 * C + i] = 0.0; /* of x */
            second[3 * C + i] = a * r * r * (k - 3 * m2[i] * q);
        }
        c->k->cast(BACKWARD * (size_t)C, c->bn.host, zs_bn_row(c, c->bn.coef_bwd, (size_t)g * BACKWARD));
    }
}

static void backward(const zs_call *c, const zs_block *b, void *scratch) {
    (void)scratch;
    const zs_shape s = c->node->shape;
    const zs_operand *x = &c->in[0], *t = &c->in[c->n_in - 1];
    if (!is_batch(c)) {
        const void *coef = zs_bn_row(c, c->bn.coef, (size_t)b->group * FORWARD);
        if (t->dx.p) c->k->bn_bwd_x(s, b->n0, b->n1, &c->dy, &c->dy, coef, &t->dx, t->add);
        return;
    }
    const size_t row = (size_t)b->group * BACKWARD;
    if (x->dx.p) {
        c->k->bn_bwd_x(s, b->n0, b->n1, &c->dy, &t->x, zs_bn_row(c, c->bn.coef_bwd, row + 4), &x->dx, x->add);
        c->k->bn_bwd_x(s, b->n0, b->n1, &c->dy, &x->x, zs_bn_row(c, c->bn.coef_bwd, row + 8), &x->dx, true);
    }
    if (t->dx.p) c->k->bn_bwd_x(s, b->n0, b->n1, &c->dy, &x->x, zs_bn_row(c, c->bn.coef_bwd, row), &t->dx, t->add);
}

const zs_op zs_op_batch_norm_tangent = {
    .name = "batch_norm_tangent",
    .arity = ZS_ANY,
    .traits = ZS_TANGENT | ZS_BWD_READS_IN,
    .infer = infer,
    .forward_sums = forward_sums,
    .forward_join = forward_join,
    .forward = forward,
    .backward_sums = backward_sums,
    .backward_join = backward_join,
    .backward = backward,
};
