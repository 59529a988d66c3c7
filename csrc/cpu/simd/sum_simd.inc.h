/* Pointwise sums of images, some of them normalised as they are read; scaling; zeros. */

/* y = bias + sum_t (x_t - mean_t) * (coef_t * scale_t), where bias = sum_t coef_t * beta_t: T terms, whose coefficients
   stay in registers. */
INLINE void sum_few_strip(int U, int c, int n_lanes, int T, int C, int W, ptrdiff_t group_offset, const zs_term *terms,
                          int n, int h, int w, const zs_view *y) {
    vec bias[2] = {{0}, {0}}, mean[4][2], scale[4][2];
    const real *x[4];
    ptrdiff_t step[4];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
        const real *bn = terms[t].bn;
        const vec coef = v_set((real)terms[t].coef);
        x[t] = at(&terms[t].x, n, h, w) + c;
        step[t] = terms[t].x.sw;
#pragma GCC unroll 2
        for (int u = 0; u < U; u++) {
            mean[t][u] = (vec){0};
            scale[t][u] = coef;
            if (!bn) continue;
            const real *p = bn + group_offset + c + u * VL;
            mean[t][u] = v_load_lanes(p, n_lanes);
            scale[t][u] *= v_load_lanes(p + C, n_lanes);
            bias[u] += coef * v_load_lanes(p + 2 * C, n_lanes);
        }
    }
    real *out = at_mut(y, n, h, w) + c;
    for (; W > 0; W--, out += y->sw) {
#pragma GCC unroll 2
        for (int u = 0; u < U; u++) {
            vec sum = bias[u];
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) sum += (v_load_lanes(x[t] + u * VL, n_lanes) - mean[t][u]) * scale[t][u];
            v_store_lanes(out + u * VL, sum, n_lanes);
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) x[t] += step[t];
    }
}

enum {
    SUM_FEW = ZS_ACCUMULATORS >= 24 ? 2 : 1, /* vectors of channels at a time */
    SUM_PIXELS = 64 /* pixels: strips of channels find their cache lines again */
};

#define SUM_FEW_ROW(T)                                                                                                \
    static __attribute__((noinline)) void sum_few_##T(zs_shape s, int W, ptrdiff_t group_offset,                      \
                                                      const zs_term *terms, int n, int h, int w, const zs_view *y) {  \
        FOR_STRIPS(SUM_FEW, s.C, sum_few_strip, T, s.C, W, group_offset, terms, n, h, w, y);                          \
    }
SUM_FEW_ROW(1)
SUM_FEW_ROW(2)
SUM_FEW_ROW(3)
SUM_FEW_ROW(4)
#undef SUM_FEW_ROW

/* The same for many. Terms are read while SUM_VECS sums wait in registers. */
enum { SUM_VECS = ZS_ACCUMULATORS >= 16 ? 16 : 8 };

INLINE void sum_pixels(int U, int c, int n_lanes, int n_pixels, int C, ptrdiff_t group_offset, int n_terms,
                       const zs_term *terms, int n, int h, int w, const vec *bias, real *y, ptrdiff_t sy) {
    vec sum[SUM_VECS];
    for (int j = 0; j < n_pixels; j++)
        for (int u = 0; u < U; u++) sum[j * U + u] = bias[u];
    for (int t = 0; t < n_terms; t++) {
        const real *x = at(&terms[t].x, n, h, w) + c, *bn = terms[t].bn;
        const ptrdiff_t sx = terms[t].x.sw;
        for (int u = 0; u < U; u++) {
            vec mean = {0}, scale = v_set((real)terms[t].coef);
            if (bn) {
                mean = v_load_lanes(bn + group_offset + c + u * VL, n_lanes);
                scale *= v_load_lanes(bn + group_offset + C + c + u * VL, n_lanes);
            }
            for (int j = 0; j < n_pixels; j++)
                sum[j * U + u] += (v_load_lanes(x + j * sx + u * VL, n_lanes) - mean) * scale;
        }
    }
    for (int j = 0; j < n_pixels; j++)
        for (int u = 0; u < U; u++) v_store_lanes(y + j * sy + c + u * VL, sum[j * U + u], n_lanes);
}

INLINE void sum_fwd_strip(int U, int c, int n_lanes, int C, int W, ptrdiff_t group_offset, int n_terms,
                          const zs_term *terms, int n, int h, const zs_view *y) {
    vec bias[4] = {0};
    for (int t = 0; t < n_terms; t++)
        for (int u = 0; u < U && terms[t].bn; u++)
            bias[u] += (real)terms[t].coef *
                       v_load_lanes((const real *)terms[t].bn + group_offset + 2 * C + c + u * VL, n_lanes);
    const int step = SUM_VECS / U;
    int w = 0;
    for (; w + step <= W; w += step)
        sum_pixels(U, c, n_lanes, step, C, group_offset, n_terms, terms, n, h, w, bias, at_mut(y, n, h, w), y->sw);
    for (; w < W; w++)
        sum_pixels(U, c, n_lanes, 1, C, group_offset, n_terms, terms, n, h, w, bias, at_mut(y, n, h, w), y->sw);
}

static void ZS_ISA(sum_fwd)(zs_shape s, int n0, int n1, int group, int n_terms, const zs_term *terms,
                            const zs_view *y) {
    rows r = merge_rows(s, n0, n0, 1, (const zs_view *[]){y}); /* planes at most: groups have their own coefficients */
    for (int t = 0; t < n_terms; t++)
        if (merge_rows(s, n0, n0, 1, (const zs_view *[]){&terms[t].x}).H != r.H) r = (rows){n0, n0, s.H, s.W, s.C};
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < r.H; h++) {
            const ptrdiff_t group_offset = (ptrdiff_t)(n / group) * 3 * s.C;
            if (n_terms > 4) FOR_STRIPS(4, s.C, sum_fwd_strip, s.C, r.W, group_offset, n_terms, terms, n, h, y);
            for (int w = 0; w < r.W && n_terms <= 4; w += SUM_PIXELS) {
                const int W = r.W - w < SUM_PIXELS ? r.W - w : SUM_PIXELS;
                if (w + W < r.W) prefetch_run(at(y, n, h, w + W), W * y->sw);
                if (n_terms == 1) sum_few_1(s, W, group_offset, terms, n, h, w, y);
                if (n_terms == 2) sum_few_2(s, W, group_offset, terms, n, h, w, y);
                if (n_terms == 3) sum_few_3(s, W, group_offset, terms, n, h, w, y);
                if (n_terms == 4) sum_few_4(s, W, group_offset, terms, n, h, w, y);
            }
        }
}

INLINE void scale_run(int n, const real *x, real coef, real *y, bool add) {
    for (int i = 0; i < n; i += VL) {
        const vec v = v_load_lanes(x + i, n - i);
        v_store_lanes(y + i, add ? v_load_lanes(y + i, n - i) + coef * v : coef * v, n - i);
    }
}

static void ZS_ISA(scale)(zs_shape s, int n0, int n1, const zs_view *x, double coef, const zs_view *y, bool add) {
    const rows r = merge_all(s, n0, n1, 2, (const zs_view *[]){x, y});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++) {
                const real *from = at(x, n, h, w);
                real *to = at_mut(y, n, h, w);
                if (add) /* a constant in each: or a compiler shares the product, fused with the sum in some lanes */
                    scale_run(r.C, from, (real)coef, to, true);
                else
                    scale_run(r.C, from, (real)coef, to, false);
            }
}

static void clear(zs_shape s, int n0, int n1, const zs_view *y) {
    const rows r = merge_all(s, n0, n1, 1, (const zs_view *[]){y});
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++) memset(at_mut(y, n, h, w), 0, (size_t)r.C * sizeof(real));
}

static void ZS_ISA(fill_zero)(zs_shape s, int n0, int n1, const zs_view *y) { clear(s, n0, n1, y); }
