/* Pooling. Channels lie in vectors; a window is a loop over its cells inside the image, unrolled for the sizes that
   networks use. Average pooling's backward gathers where windows overlap: each pixel of dx sums over the windows that
   hold it, so it is written once. */

/* Cells [lo, hi) of window `out` that lie inside an axis of `size`. */
typedef struct cells {
    int lo, hi, first; /* first: coordinate of cell lo */
} cells;

INLINE cells clip(int out, int stride, int pad, int dil, int kernel, int size) {
    const int start = out * stride - pad;
    cells c = {.lo = 0, .hi = kernel};
    if (start < 0) c.lo = (-start + dil - 1) / dil;
    if (start + (kernel - 1) * dil >= size) c.hi = start < size ? (size - 1 - start) / dil + 1 : 0;
    if (c.lo > c.hi) c.lo = c.hi;
    c.first = start + c.lo * dil;
    return c;
}

INLINE cells rows_of(const zs_pool *d, int p) {
    return clip(p, d->win.stride_h, d->win.pad_h, d->win.dil_h, d->win.R, d->H);
}

INLINE cells columns_of(const zs_pool *d, int q) {
    return clip(q, d->win.stride_w, d->win.pad_w, d->win.dil_w, d->win.S, d->W);
}

INLINE bool is_3x3_same(const zs_pool *d) {
    const zs_window *w = &d->win;
    return w->R == 3 && w->S == 3 && w->stride_h == 1 && w->stride_w == 1 && w->pad_h == 1 && w->pad_w == 1;
}

/* f for windows of R x S cells: constants for the usual ones. */
#define FOR_WINDOW(f, C, R, S, ...)                 \
    do {                                            \
        if ((R) == 3 && (S) == 3)                   \
            FOR_STRIPS(4, C, f, 3, 3, __VA_ARGS__); \
        else if ((R) == 2 && (S) == 2)              \
            FOR_STRIPS(4, C, f, 2, 2, __VA_ARGS__); \
        else                                        \
            FOR_STRIPS(4, C, f, R, S, __VA_ARGS__); \
    } while (0)

/* NaN exceeds all and is exceeded by NaN only. */
INLINE mask exceeds(vec v, vec best) { return (v > best) | (v != v); }

/* v if it exceeds best, else best: the instructions return their second operand where nothing is greater. */
INLINE vec v_max(vec best, vec v) {
#ifdef __AVX512F__
    if (sizeof(real) == 4) {
        const __m512 top = _mm512_max_ps((__m512)v, (__m512)best);
        return (vec)_mm512_mask_mov_ps(top, _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q), (__m512)v);
    }
    const __m512d top = _mm512_max_pd((__m512d)v, (__m512d)best);
    return (vec)_mm512_mask_mov_pd(top, _mm512_cmp_pd_mask((__m512d)v, (__m512d)v, _CMP_UNORD_Q), (__m512d)v);
#elif defined __AVX2__
    if (sizeof(real) == 4) {
        const __m256 top = _mm256_max_ps((__m256)v, (__m256)best);
        return (vec)_mm256_blendv_ps(top, (__m256)v, _mm256_cmp_ps((__m256)v, (__m256)v, _CMP_UNORD_Q));
    }
    const __m256d top = _mm256_max_pd((__m256d)v, (__m256d)best);
    return (vec)_mm256_blendv_pd(top, (__m256d)v, _mm256_cmp_pd((__m256d)v, (__m256d)v, _CMP_UNORD_Q));
#else
    return v_select(exceeds(v, best), v, best);
#endif
}

INLINE void max_fwd_window(int U, int c, int n_lanes, int R, int S, const real *x, ptrdiff_t sh, ptrdiff_t sw,
                           real *y) {
    for (int u = 0; u < U; u++) {
        const real *p = x + c + u * VL;
        vec best = v_load_lanes(p, n_lanes);
        for (int r = 0; r < R; r++)
            for (int s = r == 0; s < S; s++) {
                const vec v = v_load_lanes(p + r * sh + s * sw, n_lanes);
                best = v_max(best, v);
            }
        v_store_lanes(y + c + u * VL, best, n_lanes);
    }
}

/* One row of 3 x 3, stride 1, padding 1: largest of columns of R cells slide along. */
INLINE void max3_fwd_row(int U, int c, int n_lanes, int R, int W, const real *x, ptrdiff_t sh, ptrdiff_t sw, real *y,
                         ptrdiff_t sy) {
    const vec least = v_set((real)-INFINITY);
    for (int u = 0; u < U; u++) {
        const real *p = x + c + u * VL;
        real *out = y + c + u * VL;
        vec left = least, middle = least;
        for (int w = 0; w < W; w++, p += sw) {
            vec right = v_load_lanes(p, n_lanes);
            for (int r = 1; r < R; r++) right = v_max(right, v_load_lanes(p + r * sh, n_lanes));
            const vec two = v_max(middle, right);
            if (w > 0) v_store_lanes(out, v_max(left, two), n_lanes), out += sy;
            left = middle;
            middle = right;
        }
        v_store_lanes(out, v_max(left, middle), n_lanes);
    }
}

static void ZS_ISA(max_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y) {
    const bool slides = is_3x3_same(d) && d->win.dil_h == 1 && d->win.dil_w == 1;
    const ptrdiff_t sh = x->sh * d->win.dil_h, sw = x->sw * d->win.dil_w;
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) {
            const cells row = rows_of(d, p);
            const int R = row.hi - row.lo;
            if (slides) {
                if (R == 3)
                    FOR_STRIPS(4, d->C, max3_fwd_row, 3, d->W, at(x, n, row.first, 0), sh, sw, at_mut(y, n, p, 0),
                               y->sw);
                else
                    FOR_STRIPS(4, d->C, max3_fwd_row, R, d->W, at(x, n, row.first, 0), sh, sw, at_mut(y, n, p, 0),
                               y->sw);
                continue;
            }
            for (int q = 0; q < d->Q; q++) {
                const cells column = columns_of(d, q);
                const int S = column.hi - column.lo;
                real *out = at_mut(y, n, p, q);
                if (R > 0 && S > 0)
                    FOR_WINDOW(max_fwd_window, d->C, R, S, at(x, n, row.first, column.first), sh, sw, out);
                else
                    for (int c = 0; c < d->C; c++) out[c] = (real)-INFINITY;
            }
        }
}

/* dy goes to the first maximum or the last NaN; the other cells get a zero added. */
INLINE void max_bwd_window(int U, int c, int n_lanes, int R, int S, const real *x, ptrdiff_t sh, ptrdiff_t sw,
                           const real *dy, real *dx, ptrdiff_t dh, ptrdiff_t dw) {
    for (int u = 0; u < U; u++) {
        const real *p = x + c + u * VL;
        real *out = dx + c + u * VL;
        vec best = v_load_lanes(p, n_lanes);
        ints place = {0}; /* number of the cell */
        for (int r = 0; r < R; r++)
            for (int s = r == 0; s < S; s++) {
                const vec v = v_load_lanes(p + r * sh + s * sw, n_lanes);
                const mask m = exceeds(v, best);
                best = v_select(m, v, best);
                place = (place & ~(ints)m) | ((ints)m & (r * S + s));
            }
        const vec g = v_load_lanes(dy + c + u * VL, n_lanes);
        for (int r = 0; r < R; r++)
            for (int s = 0; s < S; s++) {
                real *cell = out + r * dh + s * dw;
                v_store_lanes(cell, v_load_lanes(cell, n_lanes) + v_select(place == r * S + s, g, (vec){0}), n_lanes);
            }
    }
}

static void ZS_ISA(max_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                                 const zs_view *dx, bool add) {
    const ptrdiff_t sh = x->sh * d->win.dil_h, sw = x->sw * d->win.dil_w;
    const ptrdiff_t dh = dx->sh * d->win.dil_h, dw = dx->sw * d->win.dil_w;
    if (!add) clear((zs_shape){d->C, d->H, d->W}, n0, n1, dx);
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) {
            const cells row = rows_of(d, p);
            const int R = row.hi - row.lo;
            for (int q = 0; q < d->Q; q++) {
                const cells column = columns_of(d, q);
                const int S = column.hi - column.lo;
                if (R > 0 && S > 0)
                    FOR_WINDOW(max_bwd_window, d->C, R, S, at(x, n, row.first, column.first), sh, sw, at(dy, n, p, q),
                               at_mut(dx, n, row.first, column.first), dh, dw);
            }
        }
}

INLINE real share(const zs_pool *d, int n_rows, int n_columns) {
    const int n = d->count_include_pad ? d->win.R * d->win.S : n_rows * n_columns;
    return (real)(n > 0 ? 1.0 / n : 0.0);
}

INLINE void avg_fwd_window(int U, int c, int n_lanes, int R, int S, const real *x, ptrdiff_t sh, ptrdiff_t sw,
                           real weight, real *y) {
    vec sum[4];
    for (int u = 0; u < U; u++) sum[u] = (vec){0};
    for (int r = 0; r < R; r++)
        for (int s = 0; s < S; s++)
            for (int u = 0; u < U; u++) sum[u] += v_load_lanes(x + r * sh + s * sw + c + u * VL, n_lanes);
    for (int u = 0; u < U; u++) v_store_lanes(y + c + u * VL, sum[u] * weight, n_lanes);
}

/* One row of 3 x 3, stride 1, padding 1: sums of columns of R cells slide along; the outermost windows are 2 wide. */
INLINE void avg3_fwd_row(int U, int c, int n_lanes, int R, int W, const real *x, ptrdiff_t sh, ptrdiff_t sw,
                         const real *weight, real *y, ptrdiff_t sy) {
    for (int u = 0; u < U; u++) {
        const real *p = x + c + u * VL;
        real *out = y + c + u * VL;
        vec left = {0}, middle = {0}, right, share = v_set(weight[1]);
        for (int r = 0; r < R; r++) middle += v_load_lanes(p + r * sh, n_lanes);
        for (int w = 1; w < W; w++) {
            p += sw;
            right = v_load_lanes(p, n_lanes);
            for (int r = 1; r < R; r++) right += v_load_lanes(p + r * sh, n_lanes);
            v_store_lanes(out, (left + middle + right) * share, n_lanes);
            left = middle;
            middle = right;
            share = v_set(weight[0]);
            out += sy;
        }
        v_store_lanes(out, (left + middle) * weight[1], n_lanes);
    }
}

/* Columns of two rows that both see three: four rows of x are read and not six. */
INLINE void avg3_fwd_columns(const real *p, ptrdiff_t sh, int n_lanes, vec *v) {
    const vec a = v_load_lanes(p, n_lanes), b = v_load_lanes(p + sh, n_lanes);
    const vec e = v_load_lanes(p + 2 * sh, n_lanes), f = v_load_lanes(p + 3 * sh, n_lanes);
    v[0] = a + b + e;
    v[1] = b + e + f;
}

INLINE void avg3_fwd_put(vec *left, vec *middle, const vec *right, vec share, real *out, ptrdiff_t sh, int n_lanes) {
    for (int i = 0; i < 2; i++) {
        v_store_lanes(out + i * sh, (left[i] + middle[i] + right[i]) * share, n_lanes);
        left[i] = middle[i];
        middle[i] = right[i];
    }
}

INLINE void avg3_fwd_pair(int U, int c, int n_lanes, int W, const real *x, ptrdiff_t sh, ptrdiff_t sw,
                          const real *weight, real *y, ptrdiff_t syh, ptrdiff_t sy) {
    const vec inside = v_set(weight[0]), side = v_set(weight[1]);
    for (int u = 0; u < U; u++) {
        const real *p = x + c + u * VL;
        real *out = y + c + u * VL;
        vec left[2] = {{0}, {0}}, middle[2], right[2] = {{0}, {0}};
        avg3_fwd_columns(p, sh, n_lanes, middle);
        if (W > 1) {
            avg3_fwd_columns(p += sw, sh, n_lanes, right);
            avg3_fwd_put(left, middle, right, side, out, syh, n_lanes);
            out += sy;
        }
        for (int w = 2; w < W; w++, out += sy) {
            avg3_fwd_columns(p += sw, sh, n_lanes, right);
            avg3_fwd_put(left, middle, right, inside, out, syh, n_lanes);
        }
        avg3_fwd_put(left, middle, (vec[2]){{0}, {0}}, side, out, syh, n_lanes);
    }
}

static void avg3_fwd(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) {
            const cells row = rows_of(d, p);
            const int R = row.hi - row.lo;
            const real weight[2] = {share(d, R, 3), share(d, R, d->W < 2 ? d->W : 2)};
            const real *in = at(x, n, row.first, 0);
            real *out = at_mut(y, n, p, 0);
            for (int ahead = p + 2; ahead < p + 4 && ahead < d->P; ahead++) prefetch_row(y, n, ahead, d->W);
            if (R == 3 && p + 2 < d->H) {
                FOR_STRIPS(4, d->C, avg3_fwd_pair, d->W, in, x->sh, x->sw, weight, out, y->sh, y->sw);
                p++;
            } else if (R == 3) {
                FOR_STRIPS(4, d->C, avg3_fwd_row, 3, d->W, in, x->sh, x->sw, weight, out, y->sw);
            } else {
                FOR_STRIPS(4, d->C, avg3_fwd_row, R, d->W, in, x->sh, x->sw, weight, out, y->sw);
            }
        }
}

static void ZS_ISA(avg_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y) {
    if (is_3x3_same(d)) {
        avg3_fwd(d, n0, n1, x, y);
        return;
    }
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) {
            const cells row = rows_of(d, p);
            const int R = row.hi - row.lo;
            real weight = 0;
            for (int q = 0, of = -1; q < d->Q; q++) {
                const cells column = columns_of(d, q);
                const int S = column.hi - column.lo;
                if (S != of) weight = share(d, R, of = S); /* a division, rarely */
                FOR_WINDOW(avg_fwd_window, d->C, R, S, at(x, n, row.first, column.first), x->sh, x->sw, weight,
                           at_mut(y, n, p, q));
            }
        }
}

/* One row of dx for 3 x 3, stride 1, padding 1, under R rows of windows; weight: their shares, inside and at the
   sides */
INLINE void avg3_bwd_row(int U, int c, int n_lanes, int R, int W, const real *dy, ptrdiff_t sh, ptrdiff_t sw,
                         const real (*weight)[3], real *dx, ptrdiff_t sdx, bool add) {
    for (int u = 0; u < U; u++) {
        const real *p = dy + c + u * VL;
        real *out = dx + c + u * VL;
        vec left = {0}, middle = {0}, inside[3], side[3];
        for (int r = 0; r < R; r++) {
            inside[r] = v_set(weight[0][r]);
            side[r] = v_set(weight[1][r]);
            middle += side[r] * v_load_lanes(p + r * sh, n_lanes);
        }
        for (int w = 1; w < W; w++) {
            p += sw;
            vec right = {0};
            for (int r = 0; r < R; r++) right += (w < W - 1 ? inside[r] : side[r]) * v_load_lanes(p + r * sh, n_lanes);
            vec v = left + middle + right;
            if (add) v += v_load_lanes(out, n_lanes);
            v_store_lanes(out, v, n_lanes);
            left = middle;
            middle = right;
            out += sdx;
        }
        vec v = left + middle;
        if (add) v += v_load_lanes(out, n_lanes);
        v_store_lanes(out, v, n_lanes);
    }
}

/* Columns of two rows of dx under four of windows. */
INLINE void avg3_bwd_columns(const real *p, ptrdiff_t sh, int n_lanes, const real *weight, vec *v) {
    const vec a = v_load_lanes(p, n_lanes), b = v_load_lanes(p + sh, n_lanes);
    const vec e = v_load_lanes(p + 2 * sh, n_lanes), f = v_load_lanes(p + 3 * sh, n_lanes);
    v[0] = weight[0] * a, v[0] += weight[1] * b, v[0] += weight[2] * e;
    v[1] = weight[1] * b, v[1] += weight[2] * e, v[1] += weight[3] * f;
}

INLINE void avg3_bwd_put(vec *left, vec *middle, const vec *right, real *out, ptrdiff_t sh, int n_lanes, bool add) {
    for (int i = 0; i < 2; i++) {
        vec v = left[i] + middle[i] + right[i];
        if (add) v += v_load_lanes(out + i * sh, n_lanes);
        v_store_lanes(out + i * sh, v, n_lanes);
        left[i] = middle[i];
        middle[i] = right[i];
    }
}

INLINE void avg3_bwd_pair(int U, int c, int n_lanes, int W, const real *dy, ptrdiff_t sh, ptrdiff_t sw,
                          const real (*weight)[4], real *dx, ptrdiff_t sdxh, ptrdiff_t sdx, bool add) {
    for (int u = 0; u < U; u++) {
        const real *p = dy + c + u * VL;
        real *out = dx + c + u * VL;
        vec left[2] = {{0}, {0}}, middle[2], right[2];
        avg3_bwd_columns(p, sh, n_lanes, weight[1], middle);
        for (int w = 1; w < W - 1; w++, out += sdx) {
            avg3_bwd_columns(p += sw, sh, n_lanes, weight[0], right);
            avg3_bwd_put(left, middle, right, out, sdxh, n_lanes, add);
        }
        if (W > 1) {
            avg3_bwd_columns(p + sw, sh, n_lanes, weight[1], right);
            avg3_bwd_put(left, middle, right, out, sdxh, n_lanes, add);
            out += sdx;
        }
        avg3_bwd_put(left, middle, (vec[2]){{0}, {0}}, out, sdxh, n_lanes, add);
    }
}

static void avg3_bwd(const zs_pool *d, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < d->H; h++) {
            const bool pair = h > 0 && h + 2 < d->P;
            const int p0 = h > 0 ? h - 1 : 0, p1 = h + 2 < d->P ? h + 2 : d->P, R = p1 - p0;
            real weight[2][3], four[2][4];
            for (int p = p0; p < p1 + pair; p++) {
                const cells row = rows_of(d, p);
                four[0][p - p0] = share(d, row.hi - row.lo, 3);
                four[1][p - p0] = share(d, row.hi - row.lo, d->W < 2 ? d->W : 2);
            }
            for (int i = 0; i < 2; i++) memcpy(weight[i], four[i], sizeof weight[i]);
            const real *g = at(dy, n, p0, 0);
            real *out = at_mut(dx, n, h, 0);
            for (int ahead = h + 2; ahead < h + 4 && ahead < d->H; ahead++) prefetch_row(dx, n, ahead, d->W);
            if (pair) {
                if (add)
                    FOR_STRIPS(4, d->C, avg3_bwd_pair, d->W, g, dy->sh, dy->sw, four, out, dx->sh, dx->sw, true);
                else
                    FOR_STRIPS(4, d->C, avg3_bwd_pair, d->W, g, dy->sh, dy->sw, four, out, dx->sh, dx->sw, false);
                h++;
            } else if (R == 3) {
                FOR_STRIPS(4, d->C, avg3_bwd_row, 3, d->W, g, dy->sh, dy->sw, weight, out, dx->sw, add);
            } else {
                FOR_STRIPS(4, d->C, avg3_bwd_row, R, d->W, g, dy->sh, dy->sw, weight, out, dx->sw, add);
            }
        }
}

INLINE void avg_bwd_window(int U, int c, int n_lanes, int R, int S, const real *dy, real weight, real *dx, ptrdiff_t sh,
                           ptrdiff_t sw, bool add) {
    for (int u = 0; u < U; u++) {
        const vec g = weight * v_load_lanes(dy + c + u * VL, n_lanes);
        for (int r = 0; r < R; r++)
            for (int s = 0; s < S; s++) {
                real *cell = dx + r * sh + s * sw + c + u * VL;
                vec v = g;
                if (add) v += v_load_lanes(cell, n_lanes);
                v_store_lanes(cell, v, n_lanes);
            }
    }
}

/* Windows that do not overlap: each writes its own cells. */
static void avg_bwd_apart(const zs_pool *d, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    const zs_window *win = &d->win;
    const bool covers = win->R == win->stride_h && win->S == win->stride_w && d->P * win->R - win->pad_h >= d->H &&
                        d->Q * win->S - win->pad_w >= d->W;
    if (!add && !covers) clear((zs_shape){d->C, d->H, d->W}, n0, n1, dx);
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) {
            const cells row = rows_of(d, p);
            const int R = row.hi - row.lo;
            real weight = 0;
            for (int q = 0, of = -1; q < d->Q; q++) {
                const cells column = columns_of(d, q);
                const int S = column.hi - column.lo;
                if (S != of) weight = share(d, R, of = S);
                const real *g = at(dy, n, p, q);
                real *out = at_mut(dx, n, row.first, column.first);
                if (add)
                    FOR_WINDOW(avg_bwd_window, d->C, R, S, g, weight, out, dx->sh, dx->sw, true);
                else
                    FOR_WINDOW(avg_bwd_window, d->C, R, S, g, weight, out, dx->sh, dx->sw, false);
            }
        }
}

/* Windows [lo, hi) of `n` whose undilated cells cover coordinate i; moves on from those of i - 1. */
INLINE void advance(int i, int stride, int pad, int kernel, int n, int *lo, int *hi) {
    while (*lo < n && *lo * stride - pad + kernel <= i) ++*lo;
    while (*hi < n && *hi * stride - pad <= i) ++*hi;
    if (*hi < *lo) *hi = *lo;
}

INLINE void avg_bwd_pixel(int U, int c, int n_lanes, const zs_pool *d, const zs_view *dy, int n, int p0, int p1, int q0,
                          int q1, real *dx, bool add) {
    vec sum[4];
    for (int u = 0; u < U; u++) sum[u] = (vec){0};
    for (int p = p0; p < p1; p++) {
        const cells row = rows_of(d, p);
        for (int q = q0; q < q1; q++) {
            const cells column = columns_of(d, q);
            const real weight = share(d, row.hi - row.lo, column.hi - column.lo), *g = at(dy, n, p, q) + c;
            for (int u = 0; u < U; u++) sum[u] += weight * v_load_lanes(g + u * VL, n_lanes);
        }
    }
    for (int u = 0; u < U; u++) {
        if (add) sum[u] += v_load_lanes(dx + c + u * VL, n_lanes);
        v_store_lanes(dx + c + u * VL, sum[u], n_lanes);
    }
}

static void ZS_ISA(avg_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    if (is_3x3_same(d)) {
        avg3_bwd(d, n0, n1, dy, dx, add);
        return;
    }
    const zs_window win = d->win;
    if (win.R <= win.stride_h && win.S <= win.stride_w) {
        avg_bwd_apart(d, n0, n1, dy, dx, add);
        return;
    }
    for (int n = n0; n < n1; n++)
        for (int h = 0, p0 = 0, p1 = 0; h < d->H; h++) {
            advance(h, win.stride_h, win.pad_h, win.R, d->P, &p0, &p1);
            for (int w = 0, q0 = 0, q1 = 0; w < d->W; w++) {
                advance(w, win.stride_w, win.pad_w, win.S, d->Q, &q0, &q1);
                FOR_STRIPS(4, d->C, avg_bwd_pixel, d, dy, n, p0, p1, q0, q1, at_mut(dx, n, h, w), add);
            }
        }
}

INLINE void gap_fwd_strip(int U, int c, int n_lanes, zs_shape s, int n, const zs_view *x, real *y) {
    const int n_channels = n_lanes < VL ? n_lanes : U * VL, n_pixels = s.H * s.W;
    const real zero[SUM_CHANNELS] = {0};
    real copy[CHUNK * SUM_CHANNELS], sums[SUM_CHANNELS], squares[SUM_CHANNELS];
    double all[SUM_CHANNELS] = {0};
    for (int i = 0; i < n_pixels; i += CHUNK) {
        const int count = n_pixels - i < CHUNK ? n_pixels - i : CHUNK;
        const pixels p = plane_run(s, x, n, i, count, c, n_channels, copy);
        centred_sums(U, n_lanes, count, p, zero, sums, squares);
        for (int k = 0; k < U * VL; k++) all[k] += (double)sums[k];
    }
    for (int k = 0; k < n_channels; k++) y[c + k] = (real)(all[k] / n_pixels);
}

static void ZS_ISA(gap_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++) FOR_STRIPS(SUM_STRIP, s.C, gap_fwd_strip, s, n, x, at_mut(y, n, 0, 0));
}

INLINE void gap_bwd_strip(int U, int c, int n_lanes, int W, const real *dy, real weight, real *dx, ptrdiff_t sdx,
                          bool add) {
    vec g[4];
    for (int u = 0; u < U; u++) g[u] = weight * v_load_lanes(dy + c + u * VL, n_lanes);
    for (dx += c; W > 0; W--, dx += sdx)
        for (int u = 0; u < U; u++) {
            vec v = g[u];
            if (add) v += v_load_lanes(dx + u * VL, n_lanes);
            v_store_lanes(dx + u * VL, v, n_lanes);
        }
}

static void ZS_ISA(gap_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    const real weight = (real)(1.0 / ((double)s.H * s.W));
    for (int n = n0; n < n1; n++) {
        const rows r = merge_rows(s, n, n, 1, (const zs_view *[]){dx});
        for (int h = 0; h < r.H; h++)
            FOR_STRIPS(4, s.C, gap_bwd_strip, r.W, at(dy, n, 0, 0), weight, at_mut(dx, n, h, 0), dx->sw, add);
    }
}
