/* Winograd convolution F(m x m, 3x3), m = 4 or 2 (Winograd 1980; Lavin and Gray, CVPR 2016): 3x3 filters, stride 1,
   padding 1, one group.

   A tile is m x m pixels and its patch the (m + 2) x (m + 2) pixels around them. With matrices A, B, G of the points
   0, 1, -1 and infinity, and for m = 4 also 2 and -2, w' the filter turned by half a circle, and dw' likewise,

       y   = A^T (sum_c U_c V_c) A      U = G w G^T,    V = B^T x B, x a patch      36 (16) products, not 144 (36)
       dx  = A^T (sum_k U'_k Z_k) A     U' = G w' G^T,  Z = B^T dy B, dy a patch
       dw' = G^T (sum_tiles X Z) G      X = A x A^T, x a tile

   so a backward pass forms Z once for both gradients, and writes each pixel of dx once. Element e of a transform is a
   matrix product of its own, over tiles and channels. Tiles go in batches that stay in cache: [e][tile][channels].

   F(4x4): the transforms divide by up to 24 and multiply by up to 8 twice, so an output carries some ten times the
   rounding of a direct sum: y and dx are off by up to 6e-6 of the largest (tests: 1e-5), dw by up to 3e-5 of its root
   mean square (tests: 1e-4). F(2x2) adds and halves: y and dx round less than direct sums, dw up to twice as much. */

enum {
    TILES = ZS_ACCUMULATORS >= 24 ? 8 : 6,    /* of a block of products, times two vectors */
    CHANNELS = ZS_ACCUMULATORS >= 24 ? 8 : 4, /* of a block of outer products, likewise */
    LINE = ZS_ALIGN / sizeof(real),
};

INLINE size_t points_of(int span) { return (size_t)(patch_of(span) * patch_of(span)); }

static wino wino_dims(int span, const zs_conv2d *d) {
    const bool many = span == 2 || d->C >= 64; /* so that weights and dU, larger than the rest, are passed less often */
    wino w = {.H = d->H, .W = d->W, .batch = many ? 32 : 16, .Cp = round_vec(d->C), .Kp = round_vec(d->K)};
    w.ld_c = points_of(span) * w.Cp + LINE;
    w.ld_k = points_of(span) * w.Kp + LINE;
    return w;
}

static int wino_tiles(int span, const zs_conv2d *d) { return ((d->H + span - 1) / span) * ((d->W + span - 1) / span); }

/* --- weights ------------------------------------------------------------------------------------------------------ */

static size_t wino_packed_reals(int span, const zs_conv2d *d, bool back) {
    const wino w = wino_dims(span, d);
    return points_of(span) * (back ? (size_t)d->K * w.Cp : (size_t)d->C * w.Kp);
}

/* out[e][I][O up to whole vectors] = G w G^T, filters as they are or turned; weight (r, s, i, o) lies at
   w[(3 r + s) tap + i step_i + o step_o]. Each element is rounded once: sums in double. */
INLINE void pack_filters(int span, bool turned, int I, int O, const real *w, size_t tap, size_t step_i, size_t step_o,
                         real *out) {
    const int patch = patch_of(span);
    const size_t Op = round_vec(O);
    for (int i = 0; i < I; i++)
        for (int o = 0; o < O; o += VL) {
            const int n = min_int(VL, O - o);
            double filter[9][VL] = {{0}}, half[MAX_PATCH][3][VL];
            for (int t = 0; t < 9; t++) {
                const real *from = w + (size_t)(turned ? 8 - t : t) * tap + (size_t)i * step_i + (size_t)o * step_o;
                for (int l = 0; l < n; l++) filter[t][l] = (double)from[(size_t)l * step_o];
            }
            for (int p = 0; p < patch; p++)
                for (int s = 0; s < 3; s++) {
                    const double *g = filter_row(span, p);
                    for (int l = 0; l < VL; l++)
                        half[p][s][l] = g[0] * filter[s][l] + g[1] * filter[3 + s][l] + g[2] * filter[6 + s][l];
                }
            for (int p = 0; p < patch; p++)
                for (int q = 0; q < patch; q++) {
                    const double *g = filter_row(span, q);
                    real *to = out + ((size_t)(p * patch + q) * (size_t)I + (size_t)i) * Op + o;
                    for (int l = 0; l < VL; l++)
                        to[l] = (real)(g[0] * half[p][0][l] + g[1] * half[p][1][l] + g[2] * half[p][2][l]);
                }
        }
}

/* U as [e][C][Kp] or, backward, U' as [e][K][Cp] */
INLINE void pack(int span, const zs_conv2d *d, const real *w, bool back, real *packed) {
    const size_t C = (size_t)d->C, K = (size_t)d->K;
    if (back)
        pack_filters(span, true, d->K, d->C, w, C * K, 1, K, packed);
    else
        pack_filters(span, false, d->C, d->K, w, C * K, K, 1, packed);
}

/* dw = G^T dU G, turned */
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
                for (int i = 0; i < patch; i++)
                    m[i] = v_load(du + c * w->ld_k + k * points_of(span) + (size_t)(i * patch + j) * VL);
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

/* --- prefetch ----------------------------------------------------------------------------------------------------- */

/* Rows of an image that are not in cache and will be wanted soon: tiles touch them in pieces of a few pixels, which no
   hardware foresees (12 GB/s from memory, a copy has 24). Products ask for some lines at every point. */
typedef struct fetch {
    const zs_view *v; /* NULL: nothing */
    int n, h, H; /* next row */
    int line, lines; /* next cache line of the row, of so many */
    size_t left; /* lines */
} fetch;

static fetch fetch_tiles(int span, const wino *w, tile_at t, int n, const zs_view *v) {
    if (!v || n == 0) return (fetch){0};
    const int per_row = (w->W + span - 1) / span, n_rows = (n + t.w / span + per_row - 1) / per_row * span;
    const int lines = (int)((size_t)(w->W * v->sw) * sizeof(real) + ZS_ALIGN - 1) / ZS_ALIGN;
    return (fetch){.v = v, .n = t.n, .h = t.h, .H = w->H, .lines = lines, .left = (size_t)n_rows * (size_t)lines};
}

INLINE void fetch_some(fetch *f, size_t count) {
    for (count = count < f->left ? count : f->left, f->left -= count; count > 0; count--) {
        __builtin_prefetch(at(f->v, f->n, f->h, 0) + (size_t)f->line * LINE, 0, 2);
        if (++f->line < f->lines) continue;
        f->line = 0;
        if (++f->h < f->H) continue;
        f->h = 0;
        f->n++;
    }
}

/* --- products ----------------------------------------------------------------------------------------------------- */

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
static __attribute__((noinline)) void point_products(size_t points, int n, int I, size_t Op, size_t ld_in,
                                                     size_t ld_out, const real *in, const real *w, real *out, fetch f) {
    const size_t lines = f.left / points + 1;
    for (size_t e = 0; e < points; e++, in += VL, w += (size_t)I * Op, out += VL) {
        size_t o = 0;
        fetch_some(&f, lines);
        for (; Op - o >= 2 * VL; o += 2 * VL)
            product_tiles(2, n, I, Op, points, ld_in, ld_out, in, w + o, out + o * points);
        if (o < Op) product_tiles(1, n, I, Op, points, ld_in, ld_out, in, w + o, out + o * points);
    }
}

/* du[c..][k..] (+)= sum_t v[t][e][c..] z[t][e][k..]: nc channels, kv vectors */
INLINE void outer_block(int nc, int kv, int n, bool add, size_t points, size_t ld_v, size_t ld_z, const real *v,
                        const real *z, real *du) {
    vec acc[TILES][2];
#pragma GCC unroll 8
    for (int c = 0; c < nc; c++)
#pragma GCC unroll 2
        for (int k = 0; k < kv; k++)
            acc[c][k] = add ? v_load(du + (size_t)c * ld_z + (size_t)k * points * VL) : (vec){0};
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
        for (int k = 0; k < kv; k++) v_store(du + (size_t)c * ld_z + (size_t)k * points * VL, acc[c][k]);
}

INLINE void outer_channels(int kv, int C, int n, bool add, size_t points, size_t ld_v, size_t ld_z, const real *v,
                           const real *z, real *du) {
    for (; C > 0; C -= VL, v += points * VL, du += VL * ld_z) {
        int c = 0;
#define CHANNELS_AT_ONCE(nc)                         \
    for (; min_int(C, VL) - c >= (nc); c += (nc)) \
    outer_block(nc, kv, n, add, points, ld_v, ld_z, v + c, z, du + (size_t)c * ld_z)
        CHANNELS_AT_ONCE(CHANNELS);
        CHANNELS_AT_ONCE(4);
        CHANNELS_AT_ONCE(2);
        CHANNELS_AT_ONCE(1);
#undef CHANNELS_AT_ONCE
    }
}

/* du[C][e][Kp] (+)= v[t][e][C]^T z[t][e][Kp] */
static __attribute__((noinline)) void outer_products(size_t points, int n, bool add, int C, size_t Kp, size_t ld_v,
                                                     size_t ld_z, const real *v, const real *z, real *du, fetch f) {
    const size_t lines = f.left / points + 1;
    for (size_t e = 0; e < points; e++, v += VL, z += VL, du += VL) {
        size_t k = 0;
        fetch_some(&f, lines);
        for (; Kp - k >= 2 * VL; k += 2 * VL)
            outer_channels(2, C, n, add, points, ld_v, ld_z, v, z + k * points, du + k * points);
        if (k < Kp) outer_channels(1, C, n, add, points, ld_v, ld_z, v, z + k * points, du + k * points);
    }
}

/* --- whole convolutions ------------------------------------------------------------------------------------------- */

/* V or X, M or Z, dU, and a row of zeros */
static size_t wino_scratch_reals(int span, const zs_conv2d *d) {
    const wino w = wino_dims(span, d);
    const size_t zeros = w.Cp > w.Kp ? w.Cp : w.Kp;
    return (size_t)w.batch * (w.ld_c + w.ld_k) + (size_t)d->C * w.ld_k + zeros;
}

typedef struct buffers {
    real *c, *k, *du, *zeros; /* transforms with C and K channels */
} buffers;

INLINE buffers lay_out(const zs_conv2d *d, const wino *w, real *scratch) {
    buffers b = {.c = scratch};
    b.k = b.c + (size_t)w->batch * w->ld_c;
    b.du = b.k + (size_t)w->batch * w->ld_k;
    b.zeros = b.du + (size_t)d->C * w->ld_k;
    memset(b.zeros, 0, (w->Cp > w->Kp ? w->Cp : w->Kp) * sizeof(real));
    return b;
}

/* [t][C / VL][e][VL] of n tiles: V of patches or X of tiles */
INLINE void read_batch(int span, bool tile, bool relu, const wino *w, tile_at t, int n, int C, const zs_view *x,
                       const real *zeros, size_t ld, real *out) {
    const int size = tile ? span : patch_of(span), before = tile ? 0 : 1;
    for (int i = 0; i < n; i++, next_tile(span, w, &t), out += ld) {
        const source s = source_at(size, w, x, t.n, t.h - before, t.w - before, zeros);
        real *to = out;
        for (int c = 0; c < C; c += VL, to += points_of(span) * VL)
            if (C - c < VL)
                source_tail(span, tile, relu, C - c, &s, c, to);
            else if (span == 4 && tile)
                (relu ? tile4_relu : tile4)(&s, c, to);
            else if (span == 4)
                (relu ? patch4_relu : patch4)(&s, c, to);
            else if (tile)
                (relu ? tile2_relu : tile2)(&s, c, to);
            else
                (relu ? patch2_relu : patch2)(&s, c, to);
    }
}

INLINE void write_batch(int span, const wino *w, tile_at t, int n, int K, const real *m, size_t ld, const sink *to) {
    for (int i = 0; i < n; i++, next_tile(span, w, &t), m += ld) {
        const bool whole = t.h + span <= w->H && t.w + span <= w->W;
        const real *from = m;
        for (int k = 0; k < K; k += VL, from += points_of(span) * VL)
            if (!whole || K - k < VL)
                output_any(span, K - k, w, t, k, from, to);
            else if (span == 4 && to->add)
                (to->x ? output4_masked_add : output4_add)(w, t, k, from, to);
            else if (span == 4)
                (to->x ? output4_masked : output4)(w, t, k, from, to);
            else if (to->add)
                (to->x ? output2_masked_add : output2_add)(w, t, k, from, to);
            else
                (to->x ? output2_masked : output2)(w, t, k, from, to);
    }
}

INLINE void skip_tiles(int span, const wino *w, int n, tile_at *t) {
    for (int i = 0; i < n; i++) next_tile(span, w, t);
}

INLINE void forward(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const real *packed,
                    const real *bias, const zs_view *y, real *scratch) {
    const wino w = wino_dims(span, d);
    const buffers b = lay_out(d, &w, scratch);
    const sink to = {.y = y, .bias = bias};
    tile_at t = {.n = n0};
    for (int left = (n1 - n0) * wino_tiles(span, d); left > 0; left -= w.batch) {
        const int n = min_int(w.batch, left);
        read_batch(span, false, d->relu, &w, t, n, d->C, x, b.zeros, w.ld_c, b.c);
        point_products(points_of(span), n, d->C, w.Kp, w.ld_c, w.ld_k, b.c, packed, b.k,
                       fetch_tiles(span, &w, t, n, y));
        write_batch(span, &w, t, n, d->K, b.k, w.ld_k, &to);
        skip_tiles(span, &w, n, &t);
    }
}

/* Either gradient, or both from one transform of dy: dx NULL or dw NULL leaves it out. */
INLINE void backward(int span, const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                     const real *packed, const zs_view *dx, bool add, real *dw, real *scratch) {
    const wino w = wino_dims(span, d);
    const buffers b = lay_out(d, &w, scratch);
    const sink to = {.y = dx, .x = d->relu ? x : NULL, .add = add};
    tile_at t = {.n = n0};
    bool more = false;
    for (int left = (n1 - n0) * wino_tiles(span, d); left > 0; left -= w.batch, more = true) {
        const int n = min_int(w.batch, left);
        tile_at next = t;
        skip_tiles(span, &w, n, &next);
        read_batch(span, false, false, &w, t, n, d->K, dy, b.zeros, w.ld_k, b.k);
        if (dw) {
            read_batch(span, true, d->relu, &w, t, n, d->C, x, b.zeros, w.ld_c, b.c);
            outer_products(points_of(span), n, more, d->C, w.Kp, w.ld_c, w.ld_k, b.c, b.k, b.du,
                           fetch_tiles(span, &w, t, n, dx));
        }
        if (dx) {
            point_products(points_of(span), n, d->K, w.Cp, w.ld_k, w.ld_c, b.k, packed, b.c,
                           fetch_tiles(span, &w, next, min_int(w.batch, left - n), dw ? x : NULL));
            write_batch(span, &w, t, n, d->C, b.c, w.ld_c, &to);
        }
        t = next;
    }
    if (dw) unpack_gradient(span, d, &w, b.du, dw);
}

/* For the slots: `span` becomes a constant. */
static void wino_pack(int span, const zs_conv2d *d, const real *weights, bool back, real *packed) {
    if (span == 4)
        pack(4, d, weights, back, packed);
    else
        pack(2, d, weights, back, packed);
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
