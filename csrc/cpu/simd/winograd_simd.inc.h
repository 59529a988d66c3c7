/* Winograd convolution F(4x4, 3x3) (Winograd 1980; Lavin and Gray, CVPR 2016): 3x3 filters, stride 1, padding 1, one group.

   A tile is 4x4 outputs and the 6x6 inputs they see. With the points 0, 1, -1, 2, -2 and infinity,
       U = G w G^T,   V = B^T x B,   y = A^T (sum_c U_c V_c) A          36 products in place of 144
   and, as its exact adjoint, for backward:
       Z = A dy A^T,  dx = B (sum_k U_k Z_k) B^T,   dw = G^T (sum_tiles V Z) G
   so Z and V are formed once and serve both gradients. Element e = 6 i + j of a transform is a matrix product of its
   own, over tiles and channels. Tiles go in batches that stay in cache, V and Z as [36][tile][channels].

   The transforms divide by up to 24 and multiply by up to 8 twice, so an output carries some ten times the rounding of
   a direct sum: docs and tests hold it to 5e-6 of the largest output and dw to 1e-4 of its root mean square. */

enum { SPAN = 4, PATCH = 6, N_POINTS = 36, TILE_BATCH = 16 };

typedef struct wino {
    int C, K, H, W, rows, columns;
    size_t Cp, Kp; /* channels up to whole vectors */
} wino;

static wino wino_dims(const zs_conv2d *d) {
    return (wino){d->C,           d->K, d->H, d->W, (d->H + SPAN - 1) / SPAN, (d->W + SPAN - 1) / SPAN, round_vec(d->C),
                  round_vec(d->K)};
}

/* --- the four one-dimensional transforms ----------------------------------------------------------------------------- */

/* B^T */
INLINE void transform_input(const vec d[PATCH], vec o[PATCH]) {
    const vec a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
    o[0] = 4 * d[0] + (d[4] - 5 * d[2]);
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + e;
    o[4] = c - e;
    o[5] = 4 * d[1] + (d[5] - 5 * d[3]);
}

/* A^T */
INLINE void transform_output(const vec m[PATCH], vec o[SPAN]) {
    const vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
    o[0] = m[0] + a + c;
    o[1] = b + 2 * e;
    o[2] = a + 4 * c;
    o[3] = b + 8 * e + m[5];
}

/* A */
INLINE void transform_gradient(const vec y[SPAN], vec o[PATCH]) {
    const vec a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4 * y[2], e = 2 * y[1] + 8 * y[3];
    o[0] = y[0];
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + e;
    o[4] = c - e;
    o[5] = y[3];
}

/* B */
INLINE void transform_back(const vec m[PATCH], vec o[PATCH]) {
    const vec p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = 2 * (m[3] - m[4]);
    o[0] = 4 * m[0];
    o[1] = 4 * (m[5] - q) - s;
    o[2] = -5 * m[0] - (4 * p + r);
    o[3] = q + (s - 5 * m[5]);
    o[4] = m[0] + (p + r);
    o[5] = m[5];
}

/* --- weights --------------------------------------------------------------------------------------------------------- */

static const double FILTER[PATCH][3] = {{1.0 / 4, 0, 0},
                                        {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                        {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                        {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                        {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                        {0, 0, 1}};

static size_t wino_packed_reals(const zs_conv2d *d) {
    const wino w = wino_dims(d);
    return N_POINTS * ((size_t)w.C * w.Kp + (size_t)w.K * w.Cp);
}

/* U = G w G^T as [36][C][Kp] for forward and as [36][K][Cp] for backward. Each element is rounded once: sums in double. */
static void wino_pack(const zs_conv2d *d, const real *weights, real *packed) {
    const wino w = wino_dims(d);
    real *forward = packed, *back = packed + N_POINTS * (size_t)w.C * w.Kp;
    memset(packed, 0, wino_packed_reals(d) * sizeof(real));
    double half[PATCH][3][VL];
    for (int c = 0; c < w.C; c++)
        for (int k = 0; k < w.K; k += VL) {
            const int n = min_int(VL, w.K - k);
            const real *from = weights + (size_t)c * (size_t)w.K + (size_t)k;
            const size_t tap = (size_t)w.C * (size_t)w.K;
            for (int i = 0; i < PATCH; i++)
                for (int s = 0; s < 3; s++)
                    for (int l = 0; l < n; l++)
                        half[i][s][l] = FILTER[i][0] * (double)from[(size_t)s * tap + (size_t)l] +
                                        FILTER[i][1] * (double)from[(size_t)(3 + s) * tap + (size_t)l] +
                                        FILTER[i][2] * (double)from[(size_t)(6 + s) * tap + (size_t)l];
            for (int i = 0; i < PATCH; i++)
                for (int j = 0; j < PATCH; j++) {
                    const size_t e = (size_t)(i * PATCH + j);
                    real *to = forward + (e * (size_t)w.C + (size_t)c) * w.Kp + k;
                    for (int l = 0; l < n; l++)
                        to[l] = (real)(half[i][0][l] * FILTER[j][0] + half[i][1][l] * FILTER[j][1] +
                                       half[i][2][l] * FILTER[j][2]);
                }
        }
    for (size_t e = 0; e < N_POINTS; e++)
        for (int k = 0; k < w.K; k++)
            for (int c = 0; c < w.C; c++)
                back[(e * (size_t)w.K + (size_t)k) * w.Cp + (size_t)c] =
                    forward[(e * (size_t)w.C + (size_t)c) * w.Kp + (size_t)k];
}

/* dw = G^T dU G, with dU as [36][C][Kp] */
static void wino_filter_gradient(const wino *w, const real *du, real *dw) {
    for (int c = 0; c < w->C; c++)
        for (int k = 0; k < w->K; k += VL) {
            vec half[3][PATCH];
            for (int j = 0; j < PATCH; j++)
                for (int r = 0; r < 3; r++) {
                    half[r][j] = (vec){0};
                    for (int i = 0; i < PATCH; i++)
                        half[r][j] += (real)FILTER[i][r] *
                                      v_load(du + ((size_t)(i * PATCH + j) * (size_t)w->C + (size_t)c) * w->Kp + k);
                }
            for (int r = 0; r < 3; r++)
                for (int s = 0; s < 3; s++) {
                    vec sum = {0};
                    for (int j = 0; j < PATCH; j++) sum += (real)FILTER[j][s] * half[r][j];
                    v_store_n(dw + ((size_t)(r * 3 + s) * (size_t)w->C + (size_t)c) * (size_t)w->K + k, sum, w->K - k);
                }
        }
}

/* --- tiles ------------------------------------------------------------------------------------------------------------- */

typedef struct tile_at {
    int n, h, w; /* sample, first output row and column */
} tile_at;

static tile_at find_tile(const wino *w, int n0, int index) {
    const int per_sample = w->rows * w->columns, in = index % per_sample;
    return (tile_at){n0 + index / per_sample, in / w->columns * SPAN, in % w->columns * SPAN};
}

/* Whether a tile's 6x6 patch lies inside the image, and its 4x4 outputs: the constant-folded `whole` of what follows. */
static bool patch_is_whole(const wino *w, tile_at t) {
    return t.h >= 1 && t.w >= 1 && t.h + PATCH - 1 <= w->H && t.w + PATCH - 1 <= w->W;
}
static bool outputs_are_whole(const wino *w, tile_at t) { return t.h + SPAN <= w->H && t.w + SPAN <= w->W; }

INLINE bool inside(const wino *w, int row, int column) {
    return row >= 0 && row < w->H && column >= 0 && column < w->W;
}

/* V[e][t] = B^T x B of one tile; pixels outside the image are zero. */
INLINE void input_tile_body(bool whole, int n, const wino *w, tile_at t, int c, const zs_view *x, bool relu, real *out,
                            size_t stride) {
    static const real zeros[VL] = {0};
    const real *const corner = at(x, t.n, t.h - 1, t.w - 1) + c;
    vec half[PATCH][PATCH];
#pragma GCC unroll 6
    for (int j = 0; j < PATCH; j++) {
        vec d[PATCH], o[PATCH];
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) {
            const real *p = corner + i * x->sh + j * x->sw;
            if (!whole && !inside(w, t.h - 1 + i, t.w - 1 + j)) p = zeros;
            d[i] = v_load_n(p, n);
            if (relu) d[i] = v_relu(d[i]);
        }
        transform_input(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; i++) {
        vec o[PATCH];
        transform_input(half[i], o);
#pragma GCC unroll 6
        for (int j = 0; j < PATCH; j++) v_store(out + (size_t)(i * PATCH + j) * stride + c, o[j]);
    }
}

static __attribute__((noinline)) void input_tile_whole(const wino *w, tile_at t, const zs_view *x, real *out,
                                                       size_t stride) {
    for (int c = 0; c < w->C; c += VL) input_tile_body(true, VL, w, t, c, x, true, out, stride);
}

static __attribute__((noinline)) void input_tile_any(const wino *w, tile_at t, const zs_view *x, bool relu, real *out,
                                                     size_t stride) {
    for (int c = 0; c < w->C; c += VL) input_tile_body(false, w->C - c, w, t, c, x, relu, out, stride);
}

static void input_tile(const wino *w, tile_at t, const zs_view *x, bool relu, real *out, size_t stride) {
    if (relu && w->C % VL == 0 && patch_is_whole(w, t))
        input_tile_whole(w, t, x, out, stride);
    else
        input_tile_any(w, t, x, relu, out, stride);
}

/* Z[e][t] = A dy A^T */
INLINE void gradient_tile_body(bool whole, int n, const wino *w, tile_at t, int k, const zs_view *dy, real *out,
                               size_t stride) {
    const real *const corner = at(dy, t.n, t.h, t.w) + k;
    vec half[PATCH][SPAN];
#pragma GCC unroll 4
    for (int j = 0; j < SPAN; j++) {
        vec d[SPAN], o[PATCH];
#pragma GCC unroll 4
        for (int i = 0; i < SPAN; i++)
            d[i] =
                whole || (t.h + i < w->H && t.w + j < w->W) ? v_load_n(corner + i * dy->sh + j * dy->sw, n) : (vec){0};
        transform_gradient(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; i++) {
        vec o[PATCH];
        transform_gradient(half[i], o);
#pragma GCC unroll 6
        for (int j = 0; j < PATCH; j++) v_store(out + (size_t)(i * PATCH + j) * stride + k, o[j]);
    }
}

static __attribute__((noinline)) void gradient_tile(const wino *w, tile_at t, const zs_view *dy, real *out,
                                                    size_t stride) {
    if (w->K % VL == 0 && outputs_are_whole(w, t))
        for (int k = 0; k < w->K; k += VL) gradient_tile_body(true, VL, w, t, k, dy, out, stride);
    else
        for (int k = 0; k < w->K; k += VL) gradient_tile_body(false, w->K - k, w, t, k, dy, out, stride);
}

/* y = A^T M A */
INLINE void output_tile_body(bool whole, int n, const wino *w, tile_at t, int k, const real *m, size_t stride,
                             const real *bias, const zs_view *y) {
    const vec start = bias ? v_load_n(bias + k, n) : (vec){0};
    real *const corner = at_mut(y, t.n, t.h, t.w) + k;
    vec half[SPAN][PATCH];
#pragma GCC unroll 6
    for (int j = 0; j < PATCH; j++) {
        vec d[PATCH], o[SPAN];
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) d[i] = v_load(m + (size_t)(i * PATCH + j) * stride + k);
        transform_output(d, o);
#pragma GCC unroll 4
        for (int i = 0; i < SPAN; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < SPAN; i++) {
        vec o[SPAN];
        transform_output(half[i], o);
#pragma GCC unroll 4
        for (int j = 0; j < SPAN; j++)
            if (whole || (t.h + i < w->H && t.w + j < w->W)) v_store_n(corner + i * y->sh + j * y->sw, o[j] + start, n);
    }
}

static __attribute__((noinline)) void output_tile(const wino *w, tile_at t, const real *m, size_t stride,
                                                  const real *bias, const zs_view *y) {
    if (w->K % VL == 0 && outputs_are_whole(w, t))
        for (int k = 0; k < w->K; k += VL) output_tile_body(true, VL, w, t, k, m, stride, bias, y);
    else
        for (int k = 0; k < w->K; k += VL) output_tile_body(false, w->K - k, w, t, k, m, stride, bias, y);
}

/* dx += B D B^T where x passes */
INLINE void back_tile_body(bool whole, int n, const wino *w, tile_at t, int c, const real *m, size_t stride,
                           const zs_view *x, const zs_view *dx) {
    vec half[PATCH][PATCH];
#pragma GCC unroll 6
    for (int j = 0; j < PATCH; j++) {
        vec d[PATCH], o[PATCH];
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) d[i] = v_load(m + (size_t)(i * PATCH + j) * stride + c);
        transform_back(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) half[i][j] = o[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; i++) {
        const int row = t.h - 1 + i;
        vec o[PATCH];
        transform_back(half[i], o);
#pragma GCC unroll 6
        for (int j = 0; j < PATCH; j++) {
            const int column = t.w - 1 + j;
            if (!whole && !inside(w, row, column)) continue;
            real *p = at_mut(dx, t.n, row, column) + c;
            vec v = o[j];
            if (x) v = v_select(v_load_n(at(x, t.n, row, column) + c, n) <= (vec){0}, (vec){0}, v);
            v_store_n(p, v_load_n(p, n) + v, n);
        }
    }
}

static __attribute__((noinline)) void back_tile(const wino *w, tile_at t, const real *m, size_t stride,
                                                const zs_view *x, const zs_view *dx) {
    if (x && w->C % VL == 0 && patch_is_whole(w, t))
        for (int c = 0; c < w->C; c += VL) back_tile_body(true, VL, w, t, c, m, stride, x, dx);
    else
        for (int c = 0; c < w->C; c += VL) back_tile_body(false, w->C - c, w, t, c, m, stride, x, dx);
}

/* --- products ------------------------------------------------------------------------------------------------------------ */

/* out[t][o..] = sum_i in[t][i] w[i][o..] for 8 tiles and kv vectors, one point */
INLINE void point_tile(int kv, int I, size_t ld_in, size_t ld_out, const real *in, const real *w, real *out) {
    vec acc[8][2];
#pragma GCC unroll 8
    for (int t = 0; t < 8; t++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) acc[t][k] = (vec){0};
    const real *x0 = in, *x3 = in + 3 * ld_in, *x6 = in + 6 * ld_in, *const end = in + I;
    for (; x0 < end; x0++, x3++, x6++, w += ld_out) {
        vec wv[2];
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) wv[k] = v_load(w + k * VL);
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++) {
            const real *const x = t < 3 ? x0 : t < 6 ? x3 : x6;
            const vec xv = v_set(x[(size_t)(t % 3) * ld_in]);
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) acc[t][k] += xv * wv[k];
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < 8; t++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) v_store(out + (size_t)t * ld_out + k * VL, acc[t][k]);
}

/* All 36 points of a batch: out[e][t][O] = in[e][t][I] w[e][I][O] */
static __attribute__((noinline)) void point_products2(int n_tiles, int I, size_t ld_in, size_t ld_out, const real *in,
                                                      const real *w, real *out) {
    for (int e = 0; e < N_POINTS; e++, in += TILE_BATCH * ld_in, w += (size_t)I * ld_out, out += TILE_BATCH * ld_out)
        for (size_t o = 0; o < ld_out; o += 2 * VL)
            for (int t = 0; t < n_tiles; t += 8)
                point_tile(2, I, ld_in, ld_out, in + (size_t)t * ld_in, w + o, out + (size_t)t * ld_out + o);
}

static __attribute__((noinline)) void point_products1(int n_tiles, int I, size_t ld_in, size_t ld_out, const real *in,
                                                      const real *w, real *out) {
    for (int e = 0; e < N_POINTS; e++, in += TILE_BATCH * ld_in, w += (size_t)I * ld_out, out += TILE_BATCH * ld_out)
        for (size_t o = 0; o < ld_out; o += VL)
            for (int t = 0; t < n_tiles; t += 8)
                point_tile(1, I, ld_in, ld_out, in + (size_t)t * ld_in, w + o, out + (size_t)t * ld_out + o);
}

static void point_products(int n_tiles, int I, size_t ld_in, size_t ld_out, const real *in, const real *w, real *out) {
    if (ld_out % (2 * VL) == 0)
        point_products2(n_tiles, I, ld_in, ld_out, in, w, out);
    else
        point_products1(n_tiles, I, ld_in, ld_out, in, w, out);
}

/* du[c..][k..] += sum_t v[t][c..] z[t][k..]: 8 channels, kv vectors */
INLINE void outer_tile(int ct, int kv, int n_tiles, size_t ld_v, size_t ld_z, const real *v, const real *z, real *du) {
    vec acc[8][2];
#pragma GCC unroll 8
    for (int c = 0; c < ct; c++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) acc[c][k] = v_load(du + (size_t)c * ld_z + k * VL);
    for (int t = 0; t < n_tiles; t++, v += ld_v, z += ld_z) {
        vec zv[2];
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) zv[k] = v_load(z + k * VL);
#pragma GCC unroll 8
        for (int c = 0; c < ct; c++) {
            const vec xv = v_set(v[c]);
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) acc[c][k] += xv * zv[k];
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < ct; c++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) v_store(du + (size_t)c * ld_z + k * VL, acc[c][k]);
}

static __attribute__((noinline)) void outer_products2(int n_tiles, const wino *w, const real *v, const real *z,
                                                      real *du) {
    for (int e = 0; e < N_POINTS; e++, v += TILE_BATCH * w->Cp, z += TILE_BATCH * w->Kp)
        for (int c = 0; c < w->C; c += 8)
            for (size_t k = 0; k < w->Kp; k += 2 * VL) {
                real *out = du + ((size_t)e * (size_t)w->C + (size_t)c) * w->Kp + k;
                if (w->C - c >= 8)
                    outer_tile(8, 2, n_tiles, w->Cp, w->Kp, v + c, z + k, out);
                else
                    for (int i = 0; i < w->C - c; i++)
                        outer_tile(1, 2, n_tiles, w->Cp, w->Kp, v + c + i, z + k, out + (size_t)i * w->Kp);
            }
}

static __attribute__((noinline)) void outer_products1(int n_tiles, const wino *w, const real *v, const real *z,
                                                      real *du) {
    for (int e = 0; e < N_POINTS; e++, v += TILE_BATCH * w->Cp, z += TILE_BATCH * w->Kp)
        for (int c = 0; c < w->C; c += 8)
            for (size_t k = 0; k < w->Kp; k += VL) {
                real *out = du + ((size_t)e * (size_t)w->C + (size_t)c) * w->Kp + k;
                if (w->C - c >= 8)
                    outer_tile(8, 1, n_tiles, w->Cp, w->Kp, v + c, z + k, out);
                else
                    for (int i = 0; i < w->C - c; i++)
                        outer_tile(1, 1, n_tiles, w->Cp, w->Kp, v + c + i, z + k, out + (size_t)i * w->Kp);
            }
}

/* --- whole convolutions --------------------------------------------------------------------------------------------------- */

static size_t wino_scratch_reals(const zs_conv2d *d) {
    const wino w = wino_dims(d);
    return N_POINTS * (TILE_BATCH * (2 * w.Cp + w.Kp) + (size_t)w.C * w.Kp) + 4 * (ZS_ALIGN / sizeof(real));
}

/* Tiles of a batch that do not exist are computed from what lies there, and not used: they must be finite. */
static void clear_rest(int n_tiles, size_t ld, real *m) {
    for (int e = 0; n_tiles % 8 && e < N_POINTS; e++)
        memset(m + ((size_t)e * TILE_BATCH + (size_t)n_tiles) * ld, 0, (size_t)(8 - n_tiles % 8) * ld * sizeof(real));
}

static void wino_fwd(const zs_conv2d *d, int n0, int n1, const zs_view *x, const real *packed, const real *bias,
                     const zs_view *y, real *scratch) {
    const wino w = wino_dims(d);
    real *v = scratch, *m = v + N_POINTS * TILE_BATCH * w.Cp;
    const int n_tiles = (n1 - n0) * w.rows * w.columns;
    for (int first = 0; first < n_tiles; first += TILE_BATCH) {
        const int n = min_int(TILE_BATCH, n_tiles - first);
        for (int t = 0; t < n; t++)
            input_tile(&w, find_tile(&w, n0, first + t), x, d->relu, v + (size_t)t * w.Cp, TILE_BATCH * w.Cp);
        clear_rest(n, w.Cp, v);
        point_products(n, w.C, w.Cp, w.Kp, v, packed, m);
        for (int t = 0; t < n; t++)
            output_tile(&w, find_tile(&w, n0, first + t), m + (size_t)t * w.Kp, TILE_BATCH * w.Kp, bias, y);
    }
}

/* Either gradient, or both from one pair of transforms: dx NULL or dw NULL leaves it out. */
static void wino_bwd(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy, const real *packed,
                     const zs_view *dx, bool add, real *dw, real *scratch) {
    const wino w = wino_dims(d);
    const real *back = packed ? packed + N_POINTS * (size_t)w.C * w.Kp : NULL;
    real *v = scratch, *m = v + N_POINTS * TILE_BATCH * w.Cp, *z = m + N_POINTS * TILE_BATCH * w.Cp;
    real *du = z + N_POINTS * TILE_BATCH * w.Kp;
    if (dw) memset(du, 0, N_POINTS * (size_t)w.C * w.Kp * sizeof(real));
    for (int n = n0; dx && !add && n < n1; n++)
        for (int h = 0; h < w.H; h++)
            for (int c = 0; c < w.W; c++) memset(at_mut(dx, n, h, c), 0, (size_t)w.C * sizeof(real));
    const int n_tiles = (n1 - n0) * w.rows * w.columns;
    for (int first = 0; first < n_tiles; first += TILE_BATCH) {
        const int n = min_int(TILE_BATCH, n_tiles - first);
        for (int t = 0; t < n; t++)
            gradient_tile(&w, find_tile(&w, n0, first + t), dy, z + (size_t)t * w.Kp, TILE_BATCH * w.Kp);
        if (dw) {
            for (int t = 0; t < n; t++)
                input_tile(&w, find_tile(&w, n0, first + t), x, d->relu, v + (size_t)t * w.Cp, TILE_BATCH * w.Cp);
            if (w.Kp % (2 * VL) == 0)
                outer_products2(n, &w, v, z, du);
            else
                outer_products1(n, &w, v, z, du);
        }
        if (dx) {
            clear_rest(n, w.Kp, z);
            point_products(n, w.K, w.Kp, w.Cp, z, back, m);
            for (int t = 0; t < n; t++)
                back_tile(&w, find_tile(&w, n0, first + t), m + (size_t)t * w.Cp, TILE_BATCH * w.Cp, d->relu ? x : NULL,
                          dx);
        }
    }
    if (dw) wino_filter_gradient(&w, du, dw);
}
