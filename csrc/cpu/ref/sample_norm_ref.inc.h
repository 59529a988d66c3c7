/* Norms of single samples: group norm and layer norm, their gradients and tangents. */

/* Pixels [h0, h1) x [w0, w1) of sample n, channels [c0, c0 + C). */
typedef struct norm_cell {
    int n, h0, h1, w0, w1, c0, C;
} norm_cell;

static int norm_cells(const zs_norm *d) { return d->by_position ? d->shape.H * d->shape.W : d->groups; }

static norm_cell norm_cell_at(const zs_norm *d, int n, int i) {
    const zs_shape s = d->shape;
    if (d->by_position) return (norm_cell){n, i / s.W, i / s.W + 1, i % s.W, i % s.W + 1, 0, s.C};
    return (norm_cell){n, 0, s.H, 0, s.W, i * (s.C / d->groups), s.C / d->groups};
}

#define FOR_CELL(z)                          \
    for (int h = (z).h0; h < (z).h1; h++)    \
        for (int w = (z).w0; w < (z).w1; w++) \
            for (int c = (z).c0; c < (z).c0 + (z).C; c++)

static double norm_value(const zs_view *v, const norm_cell *z, int h, int w, int c) {
    return (double)at(v, z->n, h, w)[c];
}

static double norm_gain(const void *gamma, int c) { return gamma ? (double)((const real *)gamma)[c] : 1.0; }

typedef struct norm_stats {
    double count, mean, r;
} norm_stats;

static norm_stats norm_stats_of(const zs_norm *d, const norm_cell *z, const zs_view *x) {
    norm_stats s = {.count = (double)(z->h1 - z->h0) * (z->w1 - z->w0) * z->C};
    double sum = 0, squares = 0;
    FOR_CELL(*z) sum += norm_value(x, z, h, w, c);
    s.mean = sum / s.count;
    FOR_CELL(*z) {
        const double centred = norm_value(x, z, h, w, c) - s.mean;
        squares += centred * centred;
    }
    s.r = 1.0 / sqrt(squares / s.count + d->eps);
    return s;
}

static void ZS_REF(norm_fwd)(const zs_norm *d, int n0, int n1, const zs_view *x, const void *gamma, const void *beta,
                             const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell z = norm_cell_at(d, n, i);
            const norm_stats s = norm_stats_of(d, &z, x);
            FOR_CELL(z) {
                const double xhat = (norm_value(x, &z, h, w, c) - s.mean) * s.r;
                const double shift = beta ? (double)((const real *)beta)[c] : 0.0;
                at_mut(y, n, h, w)[c] = (real)(norm_gain(gamma, c) * xhat + shift);
            }
        }
}

static void ZS_REF(norm_project)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *v,
                                 const void *inner, const void *outer, const zs_view *y, bool add) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell z = norm_cell_at(d, n, i);
            const norm_stats s = norm_stats_of(d, &z, x);
            double m1 = 0, m2 = 0;
            FOR_CELL(z) {
                const double value = norm_gain(inner, c) * norm_value(v, &z, h, w, c);
                m1 += value / s.count;
                m2 += value * (norm_value(x, &z, h, w, c) - s.mean) * s.r / s.count;
            }
            FOR_CELL(z) {
                const double xhat = (norm_value(x, &z, h, w, c) - s.mean) * s.r;
                const double value = norm_gain(inner, c) * norm_value(v, &z, h, w, c);
                put(&at_mut(y, n, h, w)[c], norm_gain(outer, c) * s.r * (value - m1 - xhat * m2), add);
            }
        }
}

static void ZS_REF(norm_bwd_params)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                                    double *d_gamma, double *d_beta) {
    for (int c = 0; c < d->shape.C; c++) d_gamma[c] = d_beta[c] = 0;
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell z = norm_cell_at(d, n, i);
            const norm_stats s = norm_stats_of(d, &z, x);
            FOR_CELL(z) {
                const double g = norm_value(dy, &z, h, w, c);
                d_gamma[c] += g * (norm_value(x, &z, h, w, c) - s.mean) * s.r;
                d_beta[c] += g;
            }
        }
}

static void ZS_REF(norm_curve)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *t, const zs_view *dy,
                               const void *gamma, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell z = norm_cell_at(d, n, i);
            const norm_stats s = norm_stats_of(d, &z, x);
            double m1 = 0, m2 = 0, mean_v = 0, q = 0, k = 0;
            FOR_CELL(z) {
                const double xhat = (norm_value(x, &z, h, w, c) - s.mean) * s.r;
                const double value = norm_gain(gamma, c) * norm_value(dy, &z, h, w, c);
                m1 += norm_value(t, &z, h, w, c) / s.count;
                m2 += norm_value(t, &z, h, w, c) * xhat / s.count;
                mean_v += value / s.count;
                q += value * xhat / s.count;
            }
            FOR_CELL(z)
            k += norm_gain(gamma, c) * norm_value(dy, &z, h, w, c) * (norm_value(t, &z, h, w, c) - m1) / s.count;
            FOR_CELL(z) {
                const double xhat = (norm_value(x, &z, h, w, c) - s.mean) * s.r;
                const double value = norm_gain(gamma, c) * norm_value(dy, &z, h, w, c);
                const double sum = q * (norm_value(t, &z, h, w, c) - m1) + m2 * (value - mean_v);
                put(&at_mut(dx, n, h, w)[c], -s.r * s.r * (sum + xhat * (k - 3 * m2 * q)), add);
            }
        }
}

#undef FOR_CELL
