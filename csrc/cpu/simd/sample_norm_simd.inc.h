/* Norms of single samples. All sums are in double, position by position, so that bits do not depend on strides; what
   goes to each element is a product and sums in `real`. */

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

#define FOR_PIXELS(z)                     \
    for (int h = (z)->h0; h < (z)->h1; h++) \
        for (int w = (z)->w0; w < (z)->w1; w++)

/* The first n lanes, 0 in the rest. */
INLINE wide w_first(wide v, int n) {
    for (int i = 0; n < WL && i < WL; i++)
        if (i >= n) v[i] = 0;
    return v;
}

/* Channels i to n of a run as doubles, times gamma unless that is NULL. */
INLINE wide scaled(const real *p, const real *gamma, int i, int n) {
    wide v = w_from_n(p + i, (size_t)(n - i));
    if (gamma) v *= w_from_n(gamma + i, (size_t)(n - i));
    return v;
}

typedef struct norm_stats {
    double count, mean, r;
} norm_stats;

static norm_stats norm_stats_of(const zs_norm *d, const norm_cell *z, const zs_view *x) {
    norm_stats s = {.count = (double)(z->h1 - z->h0) * (z->w1 - z->w0) * z->C};
    wide sum = {0}, squares = {0};
    FOR_PIXELS(z) {
        const real *p = at(x, z->n, h, w) + z->c0;
        for (int i = 0; i < z->C; i += WL) sum += w_from_n(p + i, (size_t)(z->C - i));
    }
    s.mean = w_sum(sum) / s.count;
    FOR_PIXELS(z) {
        const real *p = at(x, z->n, h, w) + z->c0;
        for (int i = 0; i < z->C; i += WL) {
            const wide centred = w_first(w_from_n(p + i, (size_t)(z->C - i)) - s.mean, z->C - i);
            squares += centred * centred;
        }
    }
    s.r = 1.0 / sqrt(w_sum(squares) / s.count + d->eps);
    return s;
}

/* What has no other element to differ from is 0 whatever it holds, and so are derivatives, without a rounding. */
static bool of_one(norm_stats s) { return s.count == 1; }

static const real *from_channel(const void *gamma, int c) { return gamma ? (const real *)gamma + c : NULL; }

INLINE void norm_fwd_run(int n, const real *x, const real *gamma, const real *beta, norm_stats s, real *y) {
    const vec mean = v_set((real)s.mean), r = v_set((real)s.r);
    for (int i = 0; i < n; i += VL) {
        vec v = (v_load_lanes(x + i, n - i) - mean) * r;
        if (gamma) v *= v_load_lanes(gamma + i, n - i);
        if (beta) v += v_load_lanes(beta + i, n - i);
        v_store_lanes(y + i, v, n - i);
    }
}

static void ZS_ISA(norm_fwd)(const zs_norm *d, int n0, int n1, const zs_view *x, const void *gamma, const void *beta,
                             const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell cell = norm_cell_at(d, n, i), *const z = &cell;
            const norm_stats s = norm_stats_of(d, z, x);
            FOR_PIXELS(z)
            norm_fwd_run(z->C, at(x, n, h, w) + z->c0, from_channel(gamma, z->c0), from_channel(beta, z->c0), s,
                         at_mut(y, n, h, w) + z->c0);
        }
}

/* sum of v, and of v (x - mean), with v = gamma v */
typedef struct moments2 {
    double sum, product;
} moments2;

static moments2 moments_of(const norm_cell *z, const zs_view *x, const zs_view *v, const real *gamma, double mean) {
    wide sum = {0}, product = {0};
    FOR_PIXELS(z) {
        const real *p = at(x, z->n, h, w) + z->c0, *q = at(v, z->n, h, w) + z->c0;
        for (int i = 0; i < z->C; i += WL) {
            const wide value = scaled(q, gamma, i, z->C);
            sum += value;
            product += w_first(value * (w_from_n(p + i, (size_t)(z->C - i)) - mean), z->C - i);
        }
    }
    return (moments2){w_sum(sum), w_sum(product)};
}

/* y = outer (r (v - mean v) - k (x - mean)) */
typedef struct projection {
    double mean, r, mean_v, k;
} projection;

INLINE void norm_project_run(int n, const real *x, const real *v, const real *inner, const real *outer, projection p,
                             real *y, bool add) {
    const vec mean = v_set((real)p.mean), r = v_set((real)p.r), mean_v = v_set((real)p.mean_v), k = v_set((real)p.k);
    for (int i = 0; i < n; i += VL) {
        vec value = v_load_lanes(v + i, n - i);
        if (inner) value *= v_load_lanes(inner + i, n - i);
        value = r * (value - mean_v) - k * (v_load_lanes(x + i, n - i) - mean);
        if (outer) value *= v_load_lanes(outer + i, n - i);
        if (add) value += v_load_lanes(y + i, n - i);
        v_store_lanes(y + i, value, n - i);
    }
}

static void ZS_ISA(norm_project)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *v,
                                 const void *inner, const void *outer, const zs_view *y, bool add) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell cell = norm_cell_at(d, n, i), *const z = &cell;
            const norm_stats s = norm_stats_of(d, z, x);
            const real *gamma = from_channel(inner, z->c0);
            const moments2 m = moments_of(z, x, v, gamma, s.mean);
            const double r = of_one(s) ? 0 : s.r;
            const projection p = {s.mean, r, m.sum / s.count, r * s.r * s.r * m.product / s.count};
            FOR_PIXELS(z)
            norm_project_run(z->C, at(x, n, h, w) + z->c0, at(v, n, h, w) + z->c0, gamma, from_channel(outer, z->c0), p,
                             at_mut(y, n, h, w) + z->c0, add);
        }
}

INLINE void norm_params_run(int n, const real *x, const real *dy, norm_stats s, double *d_gamma, double *d_beta) {
    for (int i = 0; i < n; i += WL) {
        const size_t left = (size_t)(n - i);
        const wide g = w_from_n(dy + i, left), xhat = (w_from_n(x + i, left) - s.mean) * s.r;
        w_store_n(d_gamma + i, w_load_n(d_gamma + i, left) + g * xhat, left);
        w_store_n(d_beta + i, w_load_n(d_beta + i, left) + g, left);
    }
}

static void ZS_ISA(norm_bwd_params)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                                    double *d_gamma, double *d_beta) {
    memset(d_gamma, 0, (size_t)d->shape.C * sizeof *d_gamma);
    memset(d_beta, 0, (size_t)d->shape.C * sizeof *d_beta);
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell cell = norm_cell_at(d, n, i), *const z = &cell;
            const norm_stats s = norm_stats_of(d, z, x);
            FOR_PIXELS(z)
            norm_params_run(z->C, at(x, n, h, w) + z->c0, at(dy, n, h, w) + z->c0, s, d_gamma + z->c0, d_beta + z->c0);
        }
}

/* sum of v (t - mean) */
static double centred_product(const norm_cell *z, const zs_view *t, const zs_view *v, const real *gamma, double mean) {
    wide sum = {0};
    FOR_PIXELS(z) {
        const real *p = at(t, z->n, h, w) + z->c0, *q = at(v, z->n, h, w) + z->c0;
        for (int i = 0; i < z->C; i += WL)
            sum += w_first(scaled(q, gamma, i, z->C) * (w_from_n(p + i, (size_t)(z->C - i)) - mean), z->C - i);
    }
    return w_sum(sum);
}

/* dx = -a (t - m1) - b (v - mean v) - k (x - mean) */
typedef struct curve {
    double a, m1, b, mean_v, k, mean;
} curve;

INLINE void norm_curve_run(int n, const real *x, const real *t, const real *dy, const real *gamma, curve c, real *dx,
                           bool add) {
    const vec a = v_set((real)c.a), m1 = v_set((real)c.m1), b = v_set((real)c.b), mean_v = v_set((real)c.mean_v),
              k = v_set((real)c.k), mean = v_set((real)c.mean);
    for (int i = 0; i < n; i += VL) {
        vec v = v_load_lanes(dy + i, n - i);
        if (gamma) v *= v_load_lanes(gamma + i, n - i);
        v = -a * (v_load_lanes(t + i, n - i) - m1) - b * (v - mean_v) - k * (v_load_lanes(x + i, n - i) - mean);
        if (add) v += v_load_lanes(dx + i, n - i);
        v_store_lanes(dx + i, v, n - i);
    }
}

static void ZS_ISA(norm_curve)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *t, const zs_view *dy,
                               const void *gamma, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < norm_cells(d); i++) {
            const norm_cell cell = norm_cell_at(d, n, i), *const z = &cell;
            const norm_stats s = norm_stats_of(d, z, x);
            const real *scale = from_channel(gamma, z->c0);
            const moments2 of_t = moments_of(z, x, t, NULL, s.mean), of_v = moments_of(z, x, dy, scale, s.mean);
            const double m1 = of_t.sum / s.count, m2 = s.r * of_t.product / s.count;
            const double q = s.r * of_v.product / s.count, k = centred_product(z, t, dy, scale, m1) / s.count;
            const double r2 = of_one(s) ? 0 : s.r * s.r;
            const curve c = {r2 * q, m1, r2 * m2, of_v.sum / s.count, r2 * s.r * (k - 3 * m2 * q), s.mean};
            FOR_PIXELS(z)
            norm_curve_run(z->C, at(x, n, h, w) + z->c0, at(t, n, h, w) + z->c0, at(dy, n, h, w) + z->c0, scale, c,
                           at_mut(dx, n, h, w) + z->c0, add);
        }
}

#undef FOR_PIXELS
