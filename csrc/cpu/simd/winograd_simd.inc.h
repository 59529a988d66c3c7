/* Winograd convolution F(m x m, 3x3), m = 4 or 2 (Winograd 1980; Lavin and Gray, CVPR 2016): 3x3 filters, stride 1,
   padding 1, one group.

   A tile is m x m pixels and its patch the (m + 2) x (m + 2) pixels around them. With matrices A, B, G of the points 0, 1,
   -1 and infinity, and for m = 4 also 2 and -2,

       y  = A^T (sum_c U_c V_c) A        U = G w G^T,    V = B^T x B, x a patch     36 (16) products in place of 144 (36)
       dx = A^T (sum_k U'_k Z_k) A       U' = G w' G^T,  Z = B^T dy B, dy a patch   w': the filter turned by half a circle
       dw' = G^T (sum_tiles X Z) G       X = A x A^T, x a tile

   so a backward pass forms Z once for both gradients, and writes each pixel of dx once. Element e of a transform is a
   matrix product of its own, over tiles and channels. Tiles go in batches that stay in cache: [e][tile][channels].

   F(4x4): the transforms divide by up to 24 and multiply by up to 8 twice, so an output carries some ten times the
   rounding of a direct sum: docs and tests hold it to 5e-6 of the largest output and dw to 1e-4 of its root mean square.
   F(2x2) adds and halves: its rounding is that of a direct sum. */

enum {
    BATCH2 = 24, /* tiles that are worked on together */
    BATCH4 = 16,
    TILES = ZS_ACCUMULATORS >= 24 ? 8 : 6, /* of a block of products, times two vectors */
    CHANNELS = ZS_ACCUMULATORS >= 24 ? 8 : 4,
};

INLINE size_t points_of(int span) { return (size_t)(patch_of(span) * patch_of(span)); }

static wino wino_dims(int span, const zs_conv2d *d) {
    wino w = {.H = d->H,
              .W = d->W,
              .rows = (d->H + span - 1) / span,
              .columns = (d->W + span - 1) / span,
              .Cp = round_vec(d->C),
              .Kp = round_vec(d->K)};
    w.batch = span == 2 ? BATCH2 : BATCH4;
    return w;
}

/* --- weights --------------------------------------------------------------------------------------------------------- */

static size_t wino_packed_reals(int span, const zs_conv2d *d) {
    const wino w = wino_dims(span, d);
    return points_of(span) * ((size_t)d->C * w.Kp + (size_t)d->K * w.Cp);
}

/* U as [e][C][Kp] for forward and U' as [e][K][Cp] for backward. Each element is rounded once: sums in double. */
INLINE void pack_filters(int span, const zs_conv2d *d, const real *weights, real *packed) {
    const wino w = wino_dims(span, d);
    const int patch = patch_of(span);
    const size_t C = (size_t)d->C, K = (size_t)d->K;
    real *forward = packed, *back = packed + points_of(span) * C * w.Kp;
    memset(packed, 0, wino_packed_reals(span, d) * sizeof(real));
    double half[MAX_PATCH][3][VL], full[MAX_PATCH][VL];
    for (size_t c = 0; c < C; c++)
        for (size_t k = 0; k < K; k += VL) {
            const int n = min_int(VL, (int)(K - k));
            for (int turned = 0; turned < 2; turned++) {
                double tap[9][VL] = {{0}};
                for (int i = 0; i < 9; i++) {
                    const real *from = weights + ((size_t)i * C + c) * K + k;
                    double *to = tap[turned ? 8 - i : i];
                    for (int l = 0; l < n; l++) to[l] = (double)from[l];
                }
                for (int i = 0; i < patch; i++)
                    for (int s = 0; s < 3; s++) {
                        const double *f = filter_row(span, i);
                        for (int l = 0; l < VL; l++)
                            half[i][s][l] = f[0] * tap[s][l] + f[1] * tap[3 + s][l] + f[2] * tap[6 + s][l];
                    }
                for (int i = 0; i < patch; i++)
                    for (int j = 0; j < patch; j++) {
                        const double *f = filter_row(span, j);
                        const size_t e = (size_t)(i * patch + j);
                        for (int l = 0; l < VL; l++)
                            full[j][l] = f[0] * half[i][0][l] + f[1] * half[i][1][l] + f[2] * half[i][2][l];
                        if (turned)
                            for (int l = 0; l < n; l++) back[(e * K + k + (size_t)l) * w.Cp + c] = (real)full[j][l];
                        else
                            for (int l = 0; l < n; l++) forward[(e * C + c) * w.Kp + k + (size_t)l] = (real)full[j][l];
                    }
            }
        }
}

/* dw from dU as [e][C][Kp] */
INLINE void unpack_gradient(int span, const zs_conv2d *d, const wino *w, const real *du, real *dw) {
    const int patch = patch_of(span);
    const size_t C = (size_t)d->C, K = (size_t)d->K;
    for (size_t c = 0; c < C; c++)
        for (size_t k = 0; k < K; k += VL) {
            vec half[3][MAX_PATCH];
#pragma GCC unroll 6
            for (int j = 0; j < patch; j++) {
                vec m[MAX_PATCH], o[3];
#pragma GCC unroll 6
                for (int i = 0; i < patch; i++) m[i] = v_load(du + ((size_t)(i * patch + j) * C + c) * w->Kp + k);
                transform_filter_gradient(span, m, o);
                for (int r = 0; r < 3; r++) half[r][j] = o[r];
            }
#pragma GCC unroll 3
            for (int r = 0; r < 3; r++) {
                vec o[3];
                transform_filter_gradient(span, half[r], o);
#pragma GCC unroll 3
                for (int s = 0; s < 3; s++)
                    v_store_lanes(dw + ((size_t)(8 - r * 3 - s) * C + c) * K + k, o[s], (int)(K - k));
            }
        }
}

/* --- products ------------------------------------------------------------------------------------------------------------ */

/* out[t][e][o..] = sum_i in[t][e][i] w[i][o..] for nt tiles and kv vectors */
INLINE void product_block(int nt, int kv, int I, size_t ld_w, size_t points, size_t ld_in, size_t ld_out,
                          const real *in, const real *w, real *out) {
    vec acc[TILES][2];
#pragma GCC unroll 8
    for (int t = 0; t < nt; t++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) acc[t][k] = (vec){0};
    for (; I > 0; I -= VL, in += points * VL) {
        const real *x0 = in, *x3 = in + 3 * ld_in, *x6 = in + 6 * ld_in, *const end = in + min_int(I, VL);
        for (; x0 < end; x0++, x3++, x6++, w += ld_w) {
            vec wv[2];
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) wv[k] = v_load(w + k * VL);
#pragma GCC unroll 8
            for (int t = 0; t < nt; t++) {
                const real *const x = t < 3 ? x0 : t < 6 ? x3 : x6;
                const vec xv = v_set(x[(size_t)(t % 3) * ld_in]);
#pragma GCC unroll 2
                for (int k = 0; k < kv; k++) acc[t][k] += xv * wv[k];
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < nt; t++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) v_store(out + (size_t)t * ld_out + (size_t)k * points * VL, acc[t][k]);
}

INLINE void product_tiles(int kv, int n, int I, size_t ld_w, size_t points, size_t ld_in, size_t ld_out, const real *in,
                          const real *w, real *out) {
    int t = 0;
#define TILES_AT_ONCE(nt)            \
    for (; n - t >= (nt); t += (nt)) \
    product_block(nt, kv, I, ld_w, points, ld_in, ld_out, in + (size_t)t * ld_in, w, out + (size_t)t * ld_out)
    TILES_AT_ONCE(TILES);
    TILES_AT_ONCE(4);
    TILES_AT_ONCE(2);
    TILES_AT_ONCE(1);
#undef TILES_AT_ONCE
}

/* All points of a batch of n tiles: out[t][e][Op] = in[t][e][I] w[e][I][Op] */
static __attribute__((noinline)) void point_products(size_t points, int n, int I, size_t Ip, size_t Op, const real *in,
                                                     const real *w, real *out) {
    for (size_t e = 0; e < points; e++, in += VL, w += (size_t)I * Op, out += VL) {
        size_t o = 0;
        for (; Op - o >= 2 * VL; o += 2 * VL)
            product_tiles(2, n, I, Op, points, points * Ip, points * Op, in, w + o, out + o * points);
        if (o < Op) product_tiles(1, n, I, Op, points, points * Ip, points * Op, in, w + o, out + o * points);
    }
}

/* du[c..][k..] (+)= sum_t v[t][e][c..] z[t][e][k..]: nc channels, kv vectors */
INLINE void outer_block(int nc, int kv, int n, bool add, size_t points, size_t ld_du, size_t ld_v, size_t ld_z,
                        const real *v, const real *z, real *du) {
    vec acc[TILES][2];
#pragma GCC unroll 8
    for (int c = 0; c < nc; c++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) acc[c][k] = add ? v_load(du + (size_t)c * ld_du + k * VL) : (vec){0};
    for (int t = 0; t < n; t++, v += ld_v, z += ld_z) {
        vec zv[2];
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) zv[k] = v_load(z + (size_t)k * points * VL);
#pragma GCC unroll 8
        for (int c = 0; c < nc; c++) {
            const vec xv = v_set(v[c]);
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) acc[c][k] += xv * zv[k];
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < nc; c++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++) v_store(du + (size_t)c * ld_du + k * VL, acc[c][k]);
}

INLINE void outer_channels(int kv, int C, int n, bool add, size_t points, size_t ld_du, size_t ld_v, size_t ld_z,
                           const real *v, const real *z, real *du) {
    for (; C > 0; C -= VL, v += points * VL, du += VL * ld_du) {
        int c = 0;
#define CHANNELS_AT_ONCE(nc)                         \
    for (; min_int(C, VL) - c >= (nc); c += (nc)) \
    outer_block(nc, kv, n, add, points, ld_du, ld_v, ld_z, v + c, z, du + (size_t)c * ld_du)
        CHANNELS_AT_ONCE(CHANNELS);
        CHANNELS_AT_ONCE(4);
        CHANNELS_AT_ONCE(2);
        CHANNELS_AT_ONCE(1);
#undef CHANNELS_AT_ONCE
    }
}

/* du[e][C][Kp] (+)= v[t][e][C]^T z[t][e][Kp] */
static __attribute__((noinline)) void outer_products(size_t points, int n, bool add, int C, size_t Cp, size_t Kp,
                                                     const real *v, const real *z, real *du) {
    for (size_t e = 0; e < points; e++, v += VL, z += VL, du += (size_t)C * Kp) {
        size_t k = 0;
        for (; Kp - k >= 2 * VL; k += 2 * VL)
            outer_channels(2, C, n, add, points, Kp, points * Cp, points * Kp, v, z + k * points, du + k);
        if (k < Kp) outer_channels(1, C, n, add, points, Kp, points * Cp, points * Kp, v, z + k * points, du + k);
    }
}

/* --- whole convolutions --------------------------------------------------------------------------------------------------- */

/* V or X, M or Z, dU, and a row of zeros */
static size_t wino_scratch_reals(int span, const zs_conv2d *d) {
    const wino w = wino_dims(span, d);
    const size_t zeros = w.Cp > w.Kp ? w.Cp : w.Kp;
    return points_of(span) * ((size_t)w.batch * (w.Cp + w.Kp) + (size_t)d->C * w.Kp) + zeros;
}

typedef struct buffers {
    real *c, *k, *du, *zeros; /* transforms with C and K channels */
} buffers;

INLINE buffers lay_out(int span, const zs_conv2d *d, const wino *w, real *scratch) {
    buffers b = {.c = scratch};
    b.k = b.c + points_of(span) * (size_t)w->batch * w->Cp;
    b.du = b.k + points_of(span) * (size_t)w->batch * w->Kp;
    b.zeros = b.du + points_of(span) * (size_t)d->C * w->Kp;
    memset(b.zeros, 0, (w->Cp > w->Kp ? w->Cp : w->Kp) * sizeof(real));
    return b;
}

/* out[t][C/VL][e][VL] of n tiles: V of patches or X of tiles */
INLINE void read_batch(int span, bool tile, bool relu, const wino *w, tile_at t, int n, int C, const zs_view *x,
                       const real *zeros, real *out) {
    const int size = tile ? span : patch_of(span), before = tile ? 0 : 1;
    for (int i = 0; i < n; i++, next_tile(span, w, &t)) {
        const source s = source_at(size, w, x, t.n, t.h - before, t.w - before, zeros);
        int c = 0;
        for (; C - c >= VL; c += VL, out += points_of(span) * VL) {
            if (span == 4 && tile)
                (relu ? tile4_relu : tile4)(&s, c, out);
            else if (span == 4)
                (relu ? patch4_relu : patch4)(&s, c, out);
            else if (tile)
                (relu ? tile2_relu : tile2)(&s, c, out);
            else
                (relu ? patch2_relu : patch2)(&s, c, out);
        }
        if (c < C) {
            source_tail(span, tile, relu, C - c, &s, c, out);
            out += points_of(span) * VL;
        }
    }
}

INLINE void write_batch(int span, const wino *w, tile_at t, int n, int K, const real *m, const sink *to) {
    for (int i = 0; i < n; i++, next_tile(span, w, &t)) {
        const bool whole = t.h + span <= w->H && t.w + span <= w->W && !to->add;
        for (int k = 0; k < K; k += VL, m += points_of(span) * VL)
            if (!whole || K - k < VL)
                output_any(span, K - k, w, t, k, m, to);
            else if (span == 4)
                (to->x ? output4_masked : output4)(w, t, k, m, to);
            else
                (to->x ? output2_masked : output2)(w, t, k, m, to);
    }
}

INLINE void skip_tiles(int span, const wino *w, int n, tile_at *t) {
    for (int i = 0; i < n; i++) next_tile(span, w, t);
}

INLINE void forward(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const real *packed,
                    const real *bias, const zs_view *y, real *scratch) {
    const wino w = wino_dims(span, d);
    const buffers b = lay_out(span, d, &w, scratch);
    const sink to = {.y = y, .bias = bias};
    tile_at t = {.n = n0};
    for (int left = (n1 - n0) * w.rows * w.columns; left > 0; left -= w.batch) {
        const int n = min_int(w.batch, left);
        read_batch(span, false, d->relu, &w, t, n, d->C, x, b.zeros, b.c);
        point_products(points_of(span), n, d->C, w.Cp, w.Kp, b.c, packed, b.k);
        write_batch(span, &w, t, n, d->K, b.k, &to);
        skip_tiles(span, &w, n, &t);
    }
}

/* Either gradient, or both from one transform of dy: dx NULL or dw NULL leaves it out. */
INLINE void backward(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                     const real *packed, const zs_view *dx, bool add, real *dw, real *scratch) {
    const wino w = wino_dims(span, d);
    const buffers b = lay_out(span, d, &w, scratch);
    const real *const back = packed ? packed + points_of(span) * (size_t)d->C * w.Kp : NULL;
    const sink to = {.y = dx, .x = d->relu ? x : NULL, .add = add};
    tile_at t = {.n = n0};
    bool more = false;
    for (int left = (n1 - n0) * w.rows * w.columns; left > 0; left -= w.batch, more = true) {
        const int n = min_int(w.batch, left);
        read_batch(span, false, false, &w, t, n, d->K, dy, b.zeros, b.k);
        if (dw) {
            read_batch(span, true, d->relu, &w, t, n, d->C, x, b.zeros, b.c);
            outer_products(points_of(span), n, more, d->C, w.Cp, w.Kp, b.c, b.k, b.du);
        }
        if (dx) {
            point_products(points_of(span), n, d->K, w.Kp, w.Cp, b.k, back, b.c);
            write_batch(span, &w, t, n, d->C, b.c, &to);
        }
        skip_tiles(span, &w, n, &t);
    }
    if (dw) unpack_gradient(span, d, &w, b.du, dw);
}

/* For the slots: `span` becomes a constant. */
static void wino_pack(int span, const zs_conv2d *d, const real *weights, real *packed) {
    if (span == 4)
        pack_filters(4, d, weights, packed);
    else
        pack_filters(2, d, weights, packed);
}

static void wino_fwd(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const real *packed,
                     const real *bias, const zs_view *y, real *scratch) {
    if (span == 4)
        forward(4, d, n0, n1, x, packed, bias, y, scratch);
    else
        forward(2, d, n0, n1, x, packed, bias, y, scratch);
}

static void wino_bwd(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                     const real *packed, const zs_view *dx, bool add, real *dw, real *scratch) {
    if (span == 4)
        backward(4, d, n0, n1, x, dy, packed, dx, add, dw, scratch);
    else
        backward(2, d, n0, n1, x, dy, packed, dx, add, dw, scratch);
}
