/* Gradient of the weights of a direct convolution: a tile of dw in registers, a few filter columns times a few input
   channels times one or two vectors of outputs, over all pixels of a few rows:

       dw[r, s, c, o] += x[.., c] * dy[.., o]

   Depthwise convolutions keep channels along the vector. */

enum { MAX_RUN_ROWS = 64, MIN_RUN_PIXELS = 64 };

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
            for (int k = 0; k < kv; k++)
                gv[k] = whole ? v_load(g + k * VL) : v_load_lanes(g + k * VL, n_out - o - k * VL);
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
                v_store_lanes(p, v_load_lanes(p, n) + acc[s][i][k], n);
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

/* --- depthwise ---------------------------------------------------------------------------------------------------- */

enum { DW_TAPS = ZS_ACCUMULATORS >= 24 ? 4 : 3 }; /* filter rows, and columns, whose sums fit in registers */

/* Rows of g, and the rows of x that meet each in a filter row; NULL outside of the image. */
typedef struct depthwise_rows {
    const real *x[MAX_RUN_ROWS][DW_TAPS], *g[MAX_RUN_ROWS];
    int n, n_pixels;
    ptrdiff_t g_step;
} depthwise_rows;

/* px pixels, st taps wide: acc[r][s] += sum over p of x[r][p * stride + s] * g[p] */
INLINE void depthwise_products(int px, int st, int stride, const real *const *x, ptrdiff_t at_x, ptrdiff_t unit,
                               const real *g, ptrdiff_t g_step, int n, vec (*acc)[4]) {
    vec gv[4];
#pragma GCC unroll 4
    for (int p = 0; p < px; p++) gv[p] = v_load_lanes(g + p * g_step, n);
#pragma GCC unroll 4
    for (int r = 0; r < DW_TAPS; r++) {
        if (!x[r]) continue;
        const real *from = x[r] + at_x;
#pragma GCC unroll 10
        for (int j = 0; j < stride * (px - 1) + st; j++, from += unit) {
            const vec xv = v_load_lanes(from, n);
#pragma GCC unroll 4
            for (int p = 0; p < px; p++)
                if (j >= stride * p && j < stride * p + st) acc[r][j - stride * p] += xv * gv[p];
        }
    }
}

/* dw[r, s, c..] += sum over pixels of x[.. + r, .. + s, c..] * g[.., c..] for rt rows of st taps; pixels in phases, as
   in depthwise_row. stride: between pixels, in taps; 0: any. */
INLINE void depthwise_weight_tile(int st, int stride, int rt, const depthwise_plan *plan, const depthwise_rows *run,
                                  int c, int n, real *dw, size_t dw_r, size_t dw_s) {
    const int apart = plan->n_phases, n_pixels = run->n_pixels;
    const ptrdiff_t unit = plan->dil * plan->sw, step = apart * plan->stride * plan->sw, g_step = apart * run->g_step;
    vec acc[DW_TAPS][4];
#pragma GCC unroll 4
    for (int r = 0; r < DW_TAPS; r++)
#pragma GCC unroll 4
        for (int s = 0; s < st; s++) acc[r][s] = (vec){0};
    for (int row = 0; row < run->n; row++)
        for (int phase = 0; phase < apart; phase++) {
            const real *g = run->g[row] + phase * run->g_step + c;
            ptrdiff_t at_x = phase * plan->stride * plan->sw + c;
            int i = phase;
            for (; stride && i + 3 * apart < n_pixels; i += 4 * apart, at_x += 4 * step, g += 4 * g_step)
                depthwise_products(4, st, stride, run->x[row], at_x, unit, g, g_step, n, acc);
            for (; i < n_pixels; i += apart, at_x += step, g += g_step)
                depthwise_products(1, st, 1, run->x[row], at_x, unit, g, g_step, n, acc);
        }
#pragma GCC unroll 4
    for (int r = 0; r < DW_TAPS; r++)
#pragma GCC unroll 4
        for (int s = 0; s < st; s++) {
            real *p = dw + (size_t)r * dw_r + (size_t)s * dw_s + (size_t)c;
            if (r < rt) v_store_lanes(p, v_load_lanes(p, n) + acc[r][s], n);
        }
}

#define DEPTHWISE_WEIGHTS(st)                                                                                          \
    static __attribute__((noinline)) void depthwise_weights_##st(int rt, const depthwise_plan *plan,                   \
                                                                 const depthwise_rows *run, real *dw, size_t dw_r,    \
                                                                 size_t dw_s) {                                        \
        const bool near = plan->stride * plan->n_phases == plan->dil;                                                  \
        const bool next = plan->stride * plan->n_phases == 2 * plan->dil;                                              \
        int c = 0;                                                                                                     \
        for (; c + VL <= plan->C; c += VL)                                                                             \
            if (near)                                                                                                  \
                depthwise_weight_tile(st, 1, rt, plan, run, c, VL, dw, dw_r, dw_s);                                   \
            else if (next)                                                                                             \
                depthwise_weight_tile(st, 2, rt, plan, run, c, VL, dw, dw_r, dw_s);                                   \
            else                                                                                                       \
                depthwise_weight_tile(st, 0, rt, plan, run, c, VL, dw, dw_r, dw_s);                                   \
        if (c == plan->C) return;                                                                                      \
        if (near)                                                                                                      \
            depthwise_weight_tile(st, 1, rt, plan, run, c, (plan->C - c) & (VL - 1), dw, dw_r, dw_s);                 \
        else if (next)                                                                                                 \
            depthwise_weight_tile(st, 2, rt, plan, run, c, (plan->C - c) & (VL - 1), dw, dw_r, dw_s);                 \
        else                                                                                                           \
            depthwise_weight_tile(st, 0, rt, plan, run, c, (plan->C - c) & (VL - 1), dw, dw_r, dw_s);                 \
    }
DEPTHWISE_WEIGHTS(1)
DEPTHWISE_WEIGHTS(2)
DEPTHWISE_WEIGHTS(3)
#if ZS_ACCUMULATORS >= 24
DEPTHWISE_WEIGHTS(4)
#endif
#undef DEPTHWISE_WEIGHTS

/* The first of the fewest parts of `left`, none above DW_TAPS, that differ by at most one. */
static int part_of(int left) {
    const int n_parts = (left + DW_TAPS - 1) / DW_TAPS;
    return (left + n_parts - 1) / n_parts;
}

/* All filter taps over the output rows [p0, p1) of sample n. */
static void depthwise_weight_rows(const zs_conv2d *d, int n, int p0, int p1, const zs_view *x, bool direct,
                                  const ring *r, const zs_view *dy, real *dw) {
    const zs_window *w = &d->win;
    const ptrdiff_t sw = direct ? x->sw : d->C;
    const depthwise_plan plan = depthwise_make(w->S, d->C, w->stride_w, w->dil_w, sw, 0);
    const size_t dw_s = (size_t)d->K, dw_r = (size_t)w->S * dw_s;
    depthwise_rows run; /* pointers are set row by row */
    run.n = p1 - p0;
    run.n_pixels = d->Q;
    run.g_step = dy->sw;
    for (int p = p0; p < p1; p++) run.g[p - p0] = at(dy, n, p, 0);
    for (int i = 0, rt; i < w->R; i += rt) {
        rt = part_of(w->R - i);
        for (int p = p0; p < p1; p++)
            for (int j = 0; j < DW_TAPS; j++) {
                const int h = p * w->stride_h + (i + j) * w->dil_h - w->pad_h;
                const bool inside = j < rt && h >= 0 && h < d->H;
                run.x[p - p0][j] = inside ? direct ? at(x, n, h, 0) : ring_row(r, h) : NULL;
            }
        for (int s = 0, st; s < w->S; s += st) {
            st = part_of(w->S - s);
            real *tap = dw + (size_t)i * dw_r + (size_t)s * dw_s;
            if (st == 1) depthwise_weights_1(rt, &plan, &run, tap, dw_r, dw_s);
            if (st == 2) depthwise_weights_2(rt, &plan, &run, tap, dw_r, dw_s);
            if (st == 3) depthwise_weights_3(rt, &plan, &run, tap, dw_r, dw_s);
#if ZS_ACCUMULATORS >= 24
            if (st == 4) depthwise_weights_4(rt, &plan, &run, tap, dw_r, dw_s);
#endif
            for (int p = p0; p < p1; p++) /* on to the next columns */
                for (int j = 0; j < rt; j++)
                    if (run.x[p - p0][j]) run.x[p - p0][j] += st * plan.dil * sw;
        }
    }
}

/* --- others ------------------------------------------------------------------------------------------------------- */

/* Filter row i over the output rows [p0, p1) of the samples [n0, n1). */
static void weight_filter_row(const zs_conv2d *d, int n0, int n1, int i, int p0, int p1, const zs_view *x, bool direct,
                              const ring *r, const zs_view *dy, real *dw) {
    const zs_window *w = &d->win;
    const int I = per_group_in(d), O = per_group_out(d);
    const ptrdiff_t sw = direct ? x->sw : d->C;
    const size_t dw_c = (size_t)d->K, dw_s = (size_t)I * (size_t)d->K;
    for (int g = 0; g < d->groups; g++)
        for (int s = 0; s < w->S;) {
            const int st = w->S - s >= 3 ? 3 : 1;
            const real *x_rows[MAX_RUN_ROWS], *g_rows[MAX_RUN_ROWS];
            pixel_run run = {.x = x_rows, .g = g_rows, .n_pixels = d->Q, .x_step = w->stride_w * sw, .g_step = dy->sw};
            for (int n = n0; n < n1; n++)
                for (int p = p0; p < p1; p++) {
                    const int h = p * w->stride_h + i * w->dil_h - w->pad_h;
                    if (h < 0 || h >= d->H) continue;
                    const real *row = direct ? at(x, n, h, 0) : ring_row(r, h);
                    x_rows[run.n_rows] = row + s * w->dil_w * sw + g * I;
                    g_rows[run.n_rows++] = at(dy, n, p, 0) + g * O;
                }
            real *tap = dw + (size_t)(i * w->S + s) * dw_s + (size_t)(g * O);
            if (st == 3)
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
        for (int q = 0; q < d->Q; q++) sum += v_load_lanes(g + q * step + k, n);
        v_store_lanes(db + k, v_load_lanes(db + k, n) + sum, n);
    }
}

/* Samples that go together, each so small that a gradient would be read and written for few pixels. */
static int weight_samples(const zs_conv2d *d, bool direct) {
    if (!direct || is_depthwise(d)) return 1;
    return max_int(1, min_int(MIN_RUN_PIXELS / (d->P * d->Q), MAX_RUN_ROWS / d->P));
}

static void direct_bwd_w(const zs_conv2d *dims, int n0, int n1, const zs_view *x_, const zs_view *dy_, void *dw,
                         void *db, void *scratch) {
    zs_view x = *x_, dy = *dy_;
    zs_view *const views[] = {&x, &dy};
    const zs_conv2d flat = flattened(dims, &n0, &n1, views, 2, 1), *d = &flat;
    const zs_window *w = &d->win;
    memset(dw, 0, (size_t)n_taps(d) * (size_t)per_group_in(d) * (size_t)d->K * sizeof(real));
    if (db) memset(db, 0, (size_t)d->K * sizeof(real));
    taps unused;
    real *base = scratch_start(dims, scratch, &unused);
    const bool direct = !d->relu && w->pad_w == 0;
    const int n_rows = min_int(direct ? 16 : weight_rows(d), MAX_RUN_ROWS);
    if (!direct) {
        const ring r = weight_ring(d, base);
        ring_clear(&r);
    }
    const int together = weight_samples(d, direct);
    for (int n = n0, end; n < n1; n = end) {
        end = min_int(n + together, n1);
        ring r = weight_ring(d, base);
        for (int p0 = 0; p0 < d->P; p0 += n_rows) {
            const int p1 = min_int(p0 + n_rows, d->P);
            const int first = max_int(0, p0 * w->stride_h - w->pad_h);
            const int last = min_int(d->H - 1, (p1 - 1) * w->stride_h + (w->R - 1) * w->dil_h - w->pad_h);
            if (!direct) ring_load(&r, &x, n, first, last, d->relu);
            if (is_depthwise(d))
                depthwise_weight_rows(d, n, p0, p1, &x, direct, &r, &dy, dw);
            else
                for (int i = 0; i < w->R; i++) weight_filter_row(d, n, end, i, p0, p1, &x, direct, &r, &dy, dw);
            for (int m = n; db && m < end; m++)
                for (int p = p0; p < p1; p++) bias_row(d, at(&dy, m, p, 0), dy.sw, db);
        }
    }
}
