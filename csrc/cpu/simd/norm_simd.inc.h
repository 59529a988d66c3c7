/* Batch norm and ReLU. Channels lie in vectors, pixels follow each other; coefficients stay in registers for a row.

   Sums of a channel run over CHUNK pixels of a sample in `real`, and from there on in double. Which pixels meet in
   which order depends on the shape alone, not on strides or on a channel's number.
   Statistics need one pass over memory: a chunk is summed around the mean of the chunk before (the first around its
   own) and joined by Chan's formula. So what cancels in sum(d*d) - sum(d)^2/n is no more than the squared deviations
   between chunks, which are part of the result: the relative error stays at a few roundings, whatever the mean. */
#include "cpu/dispatch.h"

enum {
    CHUNK = 128,
    CHAINS = 2,                                   /* accumulators of a channel, for pixels in turn */
    SUM_STRIP = ZS_ACCUMULATORS >= 16 ? 4 : 2,    /* vectors whose two pairs of accumulators fit in registers */
    SUM_CHANNELS = SUM_STRIP * VL
};

typedef struct pixels { /* one row */
    const real *p;
    ptrdiff_t step;
} pixels;

static void gather_run(zs_shape s, const zs_view *x, int n, int i, int count, int c, int n_channels, real *copy) {
    for (int j = 0; j < count; j++)
        memcpy(copy + j * SUM_CHANNELS, at(x, n, (i + j) / s.W, (i + j) % s.W) + c, (size_t)n_channels * sizeof(real));
}

/* Pixels i to i + count of a plane, in place, or in `copy` where there are gaps between rows. */
INLINE pixels plane_run(zs_shape s, const zs_view *x, int n, int i, int count, int c, int n_channels, real *copy) {
    if (s.H == 1 || x->sh == s.W * x->sw) return (pixels){at(x, n, 0, i) + c, x->sw};
    gather_run(s, x, n, i, count, c, n_channels, copy);
    return (pixels){copy, SUM_CHANNELS};
}

/* s = sum of d, q = sum of d*d over n pixels, where d = x - shift, of U vectors of channels */
INLINE void centred_sums(int U, int n_lanes, int n, pixels x, const real *shift, real *s, real *q) {
    vec k[4], sum[4][CHAINS], squares[4][CHAINS];
    for (int u = 0; u < U; u++) {
        k[u] = v_load(shift + u * VL);
        for (int j = 0; j < CHAINS; j++) sum[u][j] = squares[u][j] = (vec){0};
    }
    int i = 0;
    for (; i + CHAINS <= n; i += CHAINS, x.p += CHAINS * x.step)
        for (int j = 0; j < CHAINS; j++)
            for (int u = 0; u < U; u++) {
                const vec d = v_load_lanes(x.p + j * x.step + u * VL, n_lanes) - k[u];
                sum[u][j] += d;
                squares[u][j] += d * d;
            }
    for (; i < n; i++, x.p += x.step)
        for (int u = 0; u < U; u++) {
            const vec d = v_load_lanes(x.p + u * VL, n_lanes) - k[u];
            sum[u][0] += d;
            squares[u][0] += d * d;
        }
    for (int u = 0; u < U; u++) {
        for (int j = 1; j < CHAINS; j++) {
            sum[u][0] += sum[u][j];
            squares[u][0] += squares[u][j];
        }
        v_store(s + u * VL, sum[u][0]);
        v_store(q + u * VL, squares[u][0]);
    }
}

/* Chan, Golub and LeVeque (1983): n pixels join the `seen` before them; shift becomes the mean of the n. Means count
   from base, so that no rounding is larger than one of a deviation. */
INLINE void join_chunk(int n_channels, int n, double seen, const real *s, const real *q, const real *base, real *shift,
                       double *mean, double *m2) {
    const double all = seen + n, r = 1.0 / n, part = n / all, between = seen * part;
    for (int i = 0; i < n_channels; i++) {
        const double sum = (double)s[i], offset = sum * r, start = (double)base[i];
        const double chunk_mean = ((double)shift[i] - start) + offset;
        const double inner = (double)q[i] - sum * offset, delta = chunk_mean - mean[i];
        mean[i] += delta * part;
        m2[i] += (inner < 0 ? 0 : inner) + delta * delta * between; /* rounding may leave less than 0; NaN stays */
        shift[i] = (real)(start + chunk_mean);
    }
}

INLINE void bn_stats_strip(int U, int c, int n_lanes, zs_shape s, int n0, int n1, const zs_view *x, double *mean,
                           double *m2) {
    const int n_channels = n_lanes < VL ? n_lanes : U * VL, n_pixels = s.H * s.W;
    real copy[CHUNK * SUM_CHANNELS], base[SUM_CHANNELS] = {0}, shift[SUM_CHANNELS];
    real sums[SUM_CHANNELS], squares[SUM_CHANNELS];
    double strip_mean[SUM_CHANNELS] = {0}, strip_m2[SUM_CHANNELS] = {0}, seen = 0;
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < n_pixels; i += CHUNK) {
            const int count = n_pixels - i < CHUNK ? n_pixels - i : CHUNK;
            const pixels p = plane_run(s, x, n, i, count, c, n_channels, copy);
            if (seen == 0) {
                centred_sums(U, n_lanes, count, p, base, sums, squares);
                for (int k = 0; k < U * VL; k++) base[k] = shift[k] = sums[k] / (real)count;
            }
            centred_sums(U, n_lanes, count, p, shift, sums, squares);
            join_chunk(U * VL, count, seen, sums, squares, base, shift, strip_mean, strip_m2);
            seen += count;
        }
    for (int k = 0; k < n_channels; k++) mean[c + k] = (double)base[k] + strip_mean[k];
    memcpy(m2 + c, strip_m2, (size_t)n_channels * sizeof(double));
}

static void ZS_ISA(bn_stats)(zs_shape s, int n0, int n1, const zs_view *x, double *mean, double *m2) {
    FOR_STRIPS(SUM_STRIP, s.C, bn_stats_strip, s, n0, n1, x, mean, m2);
    bool finite = true;
    for (int c = 0; c < s.C; c++) finite &= isfinite(m2[c]) != 0;
    if (!finite) /* squares may overflow in float that do not in double */
        (ZS_DTYPE == ZS_F64 ? &zs_kernels_ref_f64 : &zs_kernels_ref_f32)->bn_stats(s, n0, n1, x, mean, m2);
}

INLINE void bn_fwd_strip(int U, int c, int n_lanes, int C, int W, const real *x, ptrdiff_t sx, const real *coef,
                         real *y, ptrdiff_t sy) {
    vec mean[4], scale[4], beta[4];
    for (int u = 0; u < U; u++) {
        mean[u] = v_load_lanes(coef + c + u * VL, n_lanes);
        scale[u] = v_load_lanes(coef + C + c + u * VL, n_lanes);
        beta[u] = v_load_lanes(coef + 2 * C + c + u * VL, n_lanes);
    }
    for (x += c, y += c; W > 0; W--, x += sx, y += sy)
        for (int u = 0; u < U; u++)
            v_store_lanes(y + u * VL, (v_load_lanes(x + u * VL, n_lanes) - mean[u]) * scale[u] + beta[u], n_lanes);
}

static void ZS_ISA(bn_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const void *coef, const zs_view *y) {
    const rows r = merge_rows(s, n0, n1, 2, (const zs_view *[]){x, y});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            FOR_STRIPS(4, s.C, bn_fwd_strip, s.C, r.W, at(x, n, h, 0), x->sw, coef, at_mut(y, n, h, 0), y->sw);
}

/* s += sum of dy, q += sum of dy * (x - mean) over n pixels */
INLINE void backward_sums(int U, int n_lanes, int n, pixels dy, pixels x, const vec *mean, double *s, double *q) {
    vec sum[4][CHAINS], products[4][CHAINS];
    real buffer[2][SUM_CHANNELS];
    for (int u = 0; u < U; u++)
        for (int j = 0; j < CHAINS; j++) sum[u][j] = products[u][j] = (vec){0};
    int i = 0;
    for (; i + CHAINS <= n; i += CHAINS, x.p += CHAINS * x.step, dy.p += CHAINS * dy.step)
        for (int j = 0; j < CHAINS; j++)
            for (int u = 0; u < U; u++) {
                const vec g = v_load_lanes(dy.p + j * dy.step + u * VL, n_lanes);
                sum[u][j] += g;
                products[u][j] += g * (v_load_lanes(x.p + j * x.step + u * VL, n_lanes) - mean[u]);
            }
    for (; i < n; i++, x.p += x.step, dy.p += dy.step)
        for (int u = 0; u < U; u++) {
            const vec g = v_load_lanes(dy.p + u * VL, n_lanes);
            sum[u][0] += g;
            products[u][0] += g * (v_load_lanes(x.p + u * VL, n_lanes) - mean[u]);
        }
    for (int u = 0; u < U; u++) {
        for (int j = 1; j < CHAINS; j++) {
            sum[u][0] += sum[u][j];
            products[u][0] += products[u][j];
        }
        v_store(buffer[0] + u * VL, sum[u][0]);
        v_store(buffer[1] + u * VL, products[u][0]);
    }
    for (int k = 0; k < U * VL; k++) {
        s[k] += (double)buffer[0][k];
        q[k] += (double)buffer[1][k];
    }
}

INLINE void bn_bwd_sums_strip(int U, int c, int n_lanes, zs_shape s, int n0, int n1, const zs_view *dy,
                              const zs_view *x, const real *coef, double *s1, double *s2) {
    const int n_channels = n_lanes < VL ? n_lanes : U * VL, n_pixels = s.H * s.W;
    real copy[2][CHUNK * SUM_CHANNELS];
    double sums[SUM_CHANNELS] = {0}, products[SUM_CHANNELS] = {0};
    vec mean[4];
    for (int u = 0; u < U; u++) mean[u] = v_load_lanes(coef + c + u * VL, n_lanes);
    for (int n = n0; n < n1; n++)
        for (int i = 0; i < n_pixels; i += CHUNK) {
            const int count = n_pixels - i < CHUNK ? n_pixels - i : CHUNK;
            const pixels p = plane_run(s, x, n, i, count, c, n_channels, copy[1]);
            if (i + CHUNK < n_pixels && p.p != copy[1]) prefetch_run(p.p + CHUNK * p.step, CHUNK * p.step);
            backward_sums(U, n_lanes, count, plane_run(s, dy, n, i, count, c, n_channels, copy[0]), p, mean, sums,
                          products);
        }
    memcpy(s1 + c, sums, (size_t)n_channels * sizeof(double));
    memcpy(s2 + c, products, (size_t)n_channels * sizeof(double));
}

static void ZS_ISA(bn_bwd_sums)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef,
                                double *s1, double *s2) {
    FOR_STRIPS(SUM_STRIP, s.C, bn_bwd_sums_strip, s, n0, n1, dy, x, coef, s1, s2);
}

INLINE void bn_bwd_x_strip(int U, int c, int n_lanes, int C, int W, const real *dy, ptrdiff_t sdy, const real *x,
                           ptrdiff_t sx, const real *coef, real *dx, ptrdiff_t sdx, bool add) {
    vec mean[4], a[4], b[4], k[4];
    for (int u = 0; u < U; u++) {
        const real *p = coef + c + u * VL;
        mean[u] = v_load_lanes(p, n_lanes);
        a[u] = v_load_lanes(p + C, n_lanes);
        b[u] = v_load_lanes(p + 2 * C, n_lanes);
        k[u] = v_load_lanes(p + 3 * C, n_lanes);
    }
    for (x += c, dy += c, dx += c; W > 0; W--, x += sx, dy += sdy, dx += sdx)
        for (int u = 0; u < U; u++) {
            vec v = a[u] * v_load_lanes(dy + u * VL, n_lanes) - b[u];
            v -= k[u] * (v_load_lanes(x + u * VL, n_lanes) - mean[u]);
            if (add) v += v_load_lanes(dx + u * VL, n_lanes);
            v_store_lanes(dx + u * VL, v, n_lanes);
        }
}

static void ZS_ISA(bn_bwd_x)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef,
                             const zs_view *dx, bool add) {
    const rows r = merge_rows(s, n0, n1, 3, (const zs_view *[]){dy, x, dx});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++) {
            const real *g = at(dy, n, h, 0), *p = at(x, n, h, 0);
            real *out = at_mut(dx, n, h, 0);
            if (add)
                FOR_STRIPS(4, s.C, bn_bwd_x_strip, s.C, r.W, g, dy->sw, p, x->sw, coef, out, dx->sw, true);
            else
                FOR_STRIPS(4, s.C, bn_bwd_x_strip, s.C, r.W, g, dy->sw, p, x->sw, coef, out, dx->sw, false);
        }
}

static void ZS_ISA(relu_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y) {
    const rows r = merge_all(s, n0, n1, 2, (const zs_view *[]){x, y});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++) {
                const real *p = at(x, n, h, w);
                real *out = at_mut(y, n, h, w);
                for (int c = 0; c < r.C; c += VL) v_store_lanes(out + c, v_relu(v_load_lanes(p + c, r.C - c)), r.C - c);
            }
}

INLINE void relu_bwd_run(int n, const real *y, const real *dy, real *dx, bool add) {
    for (int i = 0; i < n; i += VL) {
        const mask stopped = v_load_lanes(y + i, n - i) <= (vec){0}; /* NaN passes */
        vec g = v_select(stopped, (vec){0}, v_load_lanes(dy + i, n - i));
        if (add) g += v_load_lanes(dx + i, n - i);
        v_store_lanes(dx + i, g, n - i);
    }
}

static void ZS_ISA(relu_bwd)(zs_shape s, int n0, int n1, const zs_view *y, const zs_view *dy, const zs_view *dx,
                             bool add) {
    const rows r = merge_all(s, n0, n1, 3, (const zs_view *[]){y, dy, dx});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++) relu_bwd_run(r.C, at(y, n, h, w), at(dy, n, h, w), at_mut(dx, n, h, w), add);
}
