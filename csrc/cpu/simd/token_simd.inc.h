/* Products of matrices and softmax over the positions of a map.

   Products use the tiles of direct convolution: positions of a are pixels, channels of a inputs, columns of b outputs.
   b is packed strip by strip, two vectors wide, and multiplied by the scale; a is copied only where its positions have
   gaps between rows or it is turned. */

enum { STRIP = 2 * VL };

/* The positions of a view one after the other. */
typedef struct walk {
    const real *row, *p;
    ptrdiff_t sh, sw;
    int w, width;
} walk;

INLINE walk walk_from(const zs_view *v, int n, int width, int position, int column) {
    const real *row = at(v, n, position / width, 0) + column;
    const int w = position % width;
    return (walk){row, row + w * v->sw, v->sh, v->sw, w, width};
}

INLINE void walk_on(walk *k) {
    k->p += k->sw;
    if (++k->w < k->width) return;
    k->w = 0;
    k->p = k->row += k->sh;
}

static bool is_gapless(const zs_view *v, int n_positions, int width) {
    return n_positions <= width || v->sh == width * v->sw;
}

enum { TURN = 16 }; /* rows that are turned at a time */

/* to[c * step + r] = scale * from[r][c] for n <= TURN */
INLINE void turn(int n, int n_columns, const real *const *from, real scale, real *to, size_t step) {
    if (n == TURN) {
        for (int c = 0; c < n_columns; c++, to += step) {
#pragma GCC unroll 16
            for (int r = 0; r < TURN; r++) to[r] = scale * from[r][c];
        }
        return;
    }
    for (int c = 0; c < n_columns; c++, to += step)
        for (int r = 0; r < n; r++) to[r] = scale * from[r][c];
}

/* b[0 .. K, o .. o + n) into K rows of a strip; turned: b[o .. o + n, 0 .. K). */
static void pack_strip(const zs_matmul *d, const zs_view *b, int i, int head, int o, real *strip) {
    const int n = min_int(STRIP, d->N - o);
    const real scale = (real)d->scale;
    if (n < STRIP) memset(strip, 0, (size_t)d->K * STRIP * sizeof(real));
    if (!d->b_turned) {
        walk row = walk_from(b, i, d->width_b, 0, head * d->N + o);
        for (int k = 0; k < d->K; k++, walk_on(&row), strip += STRIP)
            for (int j = 0; j < n; j += VL) v_store(strip + j, v_load_lanes(row.p + j, n - j) * v_set(scale));
        return;
    }
    walk start = walk_from(b, i, d->width_b, o, head * d->K);
    for (int j0 = 0; j0 < n; j0 += TURN) {
        const real *row[TURN];
        const int n_rows = min_int(TURN, n - j0);
        for (int j = 0; j < n_rows; j++, walk_on(&start)) row[j] = start.p;
        turn(n_rows, d->K, row, scale, strip + j0, STRIP);
    }
}

/* a as M dense rows of K. */
static void copy_left(const zs_matmul *d, const zs_view *a, int i, int head, real *copy) {
    if (!d->a_turned) {
        walk row = walk_from(a, i, d->width_a, 0, head * d->K);
        for (int m = 0; m < d->M; m++, walk_on(&row), copy += d->K) memcpy(copy, row.p, (size_t)d->K * sizeof(real));
        return;
    }
    walk start = walk_from(a, i, d->width_a, 0, head * d->M);
    for (int k0 = 0; k0 < d->K; k0 += TURN) {
        const real *row[TURN];
        const int n = min_int(TURN, d->K - k0);
        for (int k = 0; k < n; k++, walk_on(&start)) row[k] = start.p;
        turn(n, d->M, row, 1, copy + k0, (size_t)d->K);
    }
}

static size_t strip_reals(const zs_matmul *d) { return (size_t)d->K * STRIP; }

static size_t ZS_ISA(matmul_scratch_bytes)(const zs_matmul *d) {
    return (strip_reals(d) + zs_round_up((size_t)d->M * (size_t)d->K, VL)) * sizeof(real);
}

static void ZS_ISA(matmul)(const zs_matmul *d, int n0, int n1, const zs_view *a, const zs_view *b, const zs_view *y,
                           bool add, void *scratch) {
    real *const strip = scratch, *const copy = strip + strip_reals(d);
    const bool copies = d->a_turned || !is_gapless(a, d->M, d->width_a);
    const int run = is_gapless(y, d->M, d->width_y) ? d->M : d->width_y; /* positions of y in a row */
    const real *const w = strip;
    for (int i = n0; i < n1; i++)
        for (int head = 0; head < d->heads; head++) {
            if (copies) copy_left(d, a, i, head, copy);
            const real *left = copies ? copy : at(a, i, 0, 0) + head * d->K;
            const ptrdiff_t step = copies ? d->K : a->sw;
            for (int o = 0; o < d->N; o += STRIP) {
                pack_strip(d, b, i, head, o, strip);
                const int n_out = d->N - o;
                for (int m = 0; m < d->M; m += run) {
                    const real *src = left + m * step;
                    const taps t = {&src, (const real **)&w};
                    const row_out out = {
                        .p = at_mut(y, i, m / d->width_y, 0) + head * d->N + o, .step = y->sw, .add = add};
                    const conv_job job = {&t, 1, d->K, n_out, step, STRIP, &out};
                    if (n_out > VL)
                        conv_strip2(&job, run, 0);
                    else
                        conv_strip1(&job, run, 0);
                }
            }
        }
}

static void ZS_ISA(spatial_bias_fwd)(zs_shape s, int n0, int n1, const void *bias, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++) {
                const vec v = v_set(((const real *)bias)[h * s.W + w]);
                real *out = at_mut(y, n, h, w);
                for (int c = 0; c < s.C; c += VL) v_store_lanes(out + c, v, s.C - c);
            }
}

INLINE double w_sum(wide v) {
    double sum = 0;
    for (int i = 0; i < WL; i++) sum += v[i];
    return sum;
}

static void ZS_ISA(spatial_bias_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, void *db) {
    for (int h = 0; h < s.H; h++)
        for (int w = 0; w < s.W; w++) {
            wide sum = {0};
            for (int n = n0; n < n1; n++) {
                const real *p = at(dy, n, h, w);
                for (int c = 0; c < s.C; c += WL) sum += w_from_n(p + c, (size_t)(s.C - c));
            }
            ((real *)db)[h * s.W + w] = (real)w_sum(sum);
        }
}

static void ZS_ISA(scale_channels)(zs_shape s, int n0, int n1, const zs_view *x, const void *scale, const zs_view *y,
                                   bool add) {
    const real *g = scale;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++) {
                const real *p = at(x, n, h, w);
                real *out = at_mut(y, n, h, w);
                for (int c = 0; c < s.C; c += VL) {
                    vec v = v_load_lanes(g + c, s.C - c) * v_load_lanes(p + c, s.C - c);
                    if (add) v += v_load_lanes(out + c, s.C - c);
                    v_store_lanes(out + c, v, s.C - c);
                }
            }
}

/* --- softmax ------------------------------------------------------------------------------------------------------ */

/* The first n < VL lanes of v, and `other` in the rest. */
static vec v_first(vec v, int n, vec other) {
    for (int i = 0; i < VL; i++) v[i] = i < n ? v[i] : other[i];
    return v;
}

/* Whole vectors, then what is left. */
static void softmax_run(int n, const real *x, real *y) {
    const vec lowest = v_set(-INFINITY);
    const int whole = n - n % VL;
    vec most = lowest, powers = {0};
    for (int i = 0; i < whole; i += VL) {
        const vec v = v_load(x + i);
        most = v_select(v > most, v, most);
    }
    if (whole < n) {
        const vec v = v_first(v_load_lanes(x + whole, n - whole), n - whole, lowest);
        most = v_select(v > most, v, most);
    }
    real top = -INFINITY, sum = 0;
    for (int i = 0; i < VL; i++) top = most[i] > top ? most[i] : top;
    const vec shift = v_set(top);
    for (int i = 0; i < whole; i += VL) {
        const vec v = v_exp(v_decay(v_load(x + i) - shift));
        powers += v;
        v_store(y + i, v);
    }
    if (whole < n) {
        const vec v = v_exp(v_decay(v_load_lanes(x + whole, n - whole) - shift));
        powers += v_first(v, n - whole, (vec){0});
        v_store_lanes(y + whole, v, n - whole);
    }
    for (int i = 0; i < VL; i++) sum += powers[i];
    const vec share = v_set(1 / sum);
    for (int i = 0; i < n; i += VL) v_store_lanes(y + i, v_load_lanes(y + i, n - i) * share, n - i);
}

static void ZS_ISA(softmax_fwd)(zs_shape s, int groups, int n0, int n1, const zs_view *x, const zs_view *y) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run) softmax_run(run, at(x, n, h, w) + c, at_mut(y, n, h, w) + c);
}

static double product_sum(int n, const real *a, const real *b) {
    wide sum[2] = {{0}};
    int i = 0;
    for (; i + 2 * WL <= n; i += 2 * WL)
        for (int j = 0; j < 2; j++) sum[j] += w_from_n(a + i + j * WL, WL) * w_from_n(b + i + j * WL, WL);
    for (; i < n; i += WL) sum[0] += w_from_n(a + i, (size_t)(n - i)) * w_from_n(b + i, (size_t)(n - i));
    return w_sum(sum[0] + sum[1]);
}

INLINE void softmax_bwd_run(int n, const real *y, const real *dy, real *dx, bool add) {
    const vec mean = v_set((real)product_sum(n, y, dy));
    for (int i = 0; i < n; i += VL) {
        vec v = v_load_lanes(y + i, n - i) * (v_load_lanes(dy + i, n - i) - mean);
        if (add) v += v_load_lanes(dx + i, n - i);
        v_store_lanes(dx + i, v, n - i);
    }
}

static void ZS_ISA(softmax_bwd)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *dy,
                                const zs_view *dx, bool add) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run)
                    softmax_bwd_run(run, at(y, n, h, w) + c, at(dy, n, h, w) + c, at_mut(dx, n, h, w) + c, add);
}

INLINE void softmax_curve_run(int n, const real *y, const real *t, const real *dy, real *dx, bool add) {
    const vec mean_t = v_set((real)product_sum(n, y, t)), mean_dy = v_set((real)product_sum(n, y, dy));
    for (int i = 0; i < n; i += VL) {
        const vec value = v_load_lanes(t + i, n - i), g = v_load_lanes(dy + i, n - i);
        vec v = g * (value - mean_t) - value * mean_dy;
        if (add) v += v_load_lanes(dx + i, n - i);
        v_store_lanes(dx + i, v, n - i);
    }
}

static void ZS_ISA(softmax_curve)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *t,
                                  const zs_view *dy, const zs_view *dx, bool add) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run)
                    softmax_curve_run(run, at(y, n, h, w) + c, at(t, n, h, w) + c, at(dy, n, h, w) + c,
                                      at_mut(dx, n, h, w) + c, add);
}
