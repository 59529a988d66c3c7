/* Gradient of the weights of a direct convolution: a tile of dw in registers, a few filter columns times a few input
   channels times one or two vectors of outputs, over all pixels of a few rows:

       dw[r, s, c, o] += x[.., c] * dy[.., o]

   Depthwise convolutions keep channels along the vector. */

/* Rows of pixels that one tile runs over. */
typedef struct pixel_run {
    const real *const *x; /* n_rows row starts, at the first filter column of the tile */
    const real *const *g;
    int n_rows, n_pixels;
    ptrdiff_t x_step, g_step;
} pixel_run;

/* dw[s, c, o..] += sum over pixels of x[.. + s * s_step + c] * g[o..]: st filter columns, ct channels, kv vectors */
INLINE void weight_tile(int st, int ct, int kv, const pixel_run *run, ptrdiff_t s_step, int c, int o, int n_out,
                        real *dw, size_t dw_s, size_t dw_c) {
    vec acc[3][16][2];
#pragma GCC unroll 3
    for (int s = 0; s < st; s++)
#pragma GCC unroll 16
        for (int i = 0; i < ct; i++)
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) acc[s][i][k] = (vec){0};
    const bool whole = n_out - o >= kv * VL;
    for (int row = 0; row < run->n_rows; row++) {
        const real *x0 = run->x[row] + c, *g = run->g[row] + o;
        for (int q = 0; q < run->n_pixels; q++, x0 += run->x_step, g += run->g_step) {
            vec gv[2];
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) gv[k] = whole ? v_load(g + k * VL) : v_load_n(g + k * VL, n_out - o - k * VL);
#pragma GCC unroll 3
            for (int s = 0; s < st; s++)
#pragma GCC unroll 16
                for (int i = 0; i < ct; i++) {
                    const vec xv = v_set(x0[s * s_step + i]);
#pragma GCC unroll 2
                    for (int k = 0; k < kv; k++) acc[s][i][k] += xv * gv[k];
                }
        }
    }
#pragma GCC unroll 3
    for (int s = 0; s < st; s++)
#pragma GCC unroll 16
        for (int i = 0; i < ct; i++)
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) {
                real *p = dw + (size_t)s * dw_s + (size_t)(c + i) * dw_c + (size_t)(o + k * VL);
                const int n = n_out - o - k * VL;
                v_store_n(p, v_load_n(p, n) + acc[s][i][k], n);
            }
}

/* All channels for st filter columns and kv vectors of outputs. */
INLINE void weight_channels(int st, int ct, int kv, const pixel_run *run, ptrdiff_t s_step, int I, int o, int n_out,
                            real *dw, size_t dw_s, size_t dw_c) {
    int c = 0;
    for (; c + ct <= I; c += ct) weight_tile(st, ct, kv, run, s_step, c, o, n_out, dw, dw_s, dw_c);
    if (ct > 8 && c + 8 <= I) weight_tile(st, 8, kv, run, s_step, c, o, n_out, dw, dw_s, dw_c), c += 8;
    if (ct > 4 && c + 4 <= I) weight_tile(st, 4, kv, run, s_step, c, o, n_out, dw, dw_s, dw_c), c += 4;
    if (ct > 3 && c + 3 <= I) weight_tile(st, 3, kv, run, s_step, c, o, n_out, dw, dw_s, dw_c), c += 3;
    for (; c < I; c++) weight_tile(st, 1, kv, run, s_step, c, o, n_out, dw, dw_s, dw_c);
}

static __attribute__((noinline)) void weight_columns3(const pixel_run *run, ptrdiff_t s_step, int I, int n_out,
                                                      real *dw, size_t dw_s, size_t dw_c) {
    int o = 0;
    if (BW_KV == 2)
        for (; o + VL < n_out; o += 2 * VL) weight_channels(3, BW_C, 2, run, s_step, I, o, n_out, dw, dw_s, dw_c);
    for (; o < n_out; o += VL) weight_channels(3, BW_C, 1, run, s_step, I, o, n_out, dw, dw_s, dw_c);
}

static __attribute__((noinline)) void weight_columns1(const pixel_run *run, int I, int n_out, real *dw, size_t dw_c) {
    int o = 0;
    if (BW_KV == 2)
        for (; o + VL < n_out; o += 2 * VL) weight_channels(1, BW_C1, 2, run, 0, I, o, n_out, dw, 0, dw_c);
    for (; o < n_out; o += VL) weight_channels(1, BW_C1, 1, run, 0, I, o, n_out, dw, 0, dw_c);
}

/* dw[s, c..] += sum over pixels of x[.. + s, c..] * g[.., c..] */
INLINE void depthwise_weight_tile(int st, const pixel_run *run, ptrdiff_t s_step, int c, int n, real *dw, size_t dw_s) {
    vec acc[4] = {{0}, {0}, {0}, {0}};
    for (int row = 0; row < run->n_rows; row++) {
        const real *x0 = run->x[row] + c, *g = run->g[row] + c;
        for (int q = 0; q < run->n_pixels; q++, x0 += run->x_step, g += run->g_step) {
            const vec gv = v_load_n(g, n);
#pragma GCC unroll 4
            for (int s = 0; s < st; s++) acc[s] += v_load_n(x0 + s * s_step, n) * gv;
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < st; s++) {
        real *p = dw + (size_t)s * dw_s + (size_t)c;
        v_store_n(p, v_load_n(p, n) + acc[s], n);
    }
}

static __attribute__((noinline)) void depthwise_weights(int st, const pixel_run *run, ptrdiff_t s_step, int C, real *dw,
                                                        size_t dw_s) {
    int c = 0;
    for (; c + VL <= C; c += VL)
        if (st == 4)
            depthwise_weight_tile(4, run, s_step, c, VL, dw, dw_s);
        else if (st == 3)
            depthwise_weight_tile(3, run, s_step, c, VL, dw, dw_s);
        else
            depthwise_weight_tile(1, run, s_step, c, VL, dw, dw_s);
    for (int s = 0; c < C && s < st; s++) {
        pixel_run one = *run;
        const real *shifted[64];
        for (int i = 0; i < run->n_rows; i++) shifted[i] = run->x[i] + s * s_step;
        one.x = shifted;
        depthwise_weight_tile(1, &one, 0, c, C - c, dw + (size_t)s * dw_s, 0);
    }
}

enum { MAX_RUN_ROWS = 64 };

/* Filter row i over the output rows [p0, p1) of sample n. */
static void weight_filter_row(const zs_conv2d *d, int n, int i, int p0, int p1, const zs_view *x, bool direct,
                              const ring *r, const zs_view *dy, real *dw) {
    const zs_window *w = &d->win;
    const bool depthwise = is_depthwise(d);
    const int I = per_group_in(d), O = per_group_out(d);
    const ptrdiff_t sw = direct ? x->sw : d->C;
    const size_t dw_c = (size_t)d->K, dw_s = (size_t)I * (size_t)d->K;
    for (int g = 0; g < (depthwise ? 1 : d->groups); g++)
        for (int s = 0; s < w->S;) {
            const int left = w->S - s;
            const int st = depthwise && left >= 4 && left != 6 ? 4 : left >= 3 ? 3 : 1;
            const real *x_rows[MAX_RUN_ROWS], *g_rows[MAX_RUN_ROWS];
            pixel_run run = {.x = x_rows, .g = g_rows, .n_pixels = d->Q, .x_step = w->stride_w * sw, .g_step = dy->sw};
            for (int p = p0; p < p1; p++) {
                const int h = p * w->stride_h + i * w->dil_h - w->pad_h;
                if (h < 0 || h >= d->H) continue;
                const real *row = direct ? at(x, n, h, 0) : ring_row(r, h);
                x_rows[run.n_rows] = row + s * w->dil_w * sw + g * I;
                g_rows[run.n_rows++] = at(dy, n, p, 0) + g * O;
            }
            real *tap = dw + (size_t)(i * w->S + s) * dw_s + (size_t)(g * O);
            if (depthwise)
                depthwise_weights(st, &run, w->dil_w * sw, d->C, tap, dw_s);
            else if (st == 3)
                weight_columns3(&run, w->dil_w * sw, I, O, tap, dw_s, dw_c);
            else
                weight_columns1(&run, I, O, tap, dw_c);
            s += st;
        }
}

static void bias_row(const zs_conv2d *d, const real *g, ptrdiff_t step, real *db) {
    for (int k = 0; k < d->K; k += VL) {
        const int n = d->K - k;
        vec sum = {0};
        for (int q = 0; q < d->Q; q++) sum += v_load_n(g + q * step + k, n);
        v_store_n(db + k, v_load_n(db + k, n) + sum, n);
    }
}

static void direct_bwd_w(const zs_conv2d *dims, int n0, int n1, const zs_view *x_, const zs_view *dy_, void *dw,
                         void *db, void *scratch) {
    zs_view x = *x_, dy = *dy_;
    zs_view *const views[] = {&x, &dy};
    const zs_conv2d flat = dims->relu ? *dims : flattened(dims, &n0, &n1, views, 2), *d = &flat;
    const zs_window *w = &d->win;
    memset(dw, 0, (size_t)n_taps(d) * (size_t)per_group_in(d) * (size_t)d->K * sizeof(real));
    if (db) memset(db, 0, (size_t)d->K * sizeof(real));
    taps unused;
    real *base = scratch_start(dims, scratch, &unused);
    const bool direct = !d->relu && w->pad_w == 0;
    const int n_rows = min_int(direct ? 16 : weight_rows(dims), MAX_RUN_ROWS);
    for (int n = n0; n < n1; n++) {
        ring r = weight_ring(dims, base);
        for (int p0 = 0; p0 < d->P; p0 += n_rows) {
            const int p1 = min_int(p0 + n_rows, d->P);
            const int first = max_int(0, p0 * w->stride_h - w->pad_h);
            const int last = min_int(d->H - 1, (p1 - 1) * w->stride_h + (w->R - 1) * w->dil_h - w->pad_h);
            if (!direct) ring_load(&r, &x, n, first, last, d->relu);
            for (int i = 0; i < w->R; i++) weight_filter_row(d, n, i, p0, p1, &x, direct, &r, &dy, dw);
            for (int p = p0; db && p < p1; p++) bias_row(d, at(&dy, n, p, 0), dy.sw, db);
        }
    }
}
