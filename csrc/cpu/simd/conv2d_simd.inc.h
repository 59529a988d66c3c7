/* Direct convolution.

   Forward and backward-data are one loop. A row of outputs is a sum over taps: tap t reads the row src[t] (already
   moved to the tap's column) and the I x O weights w[t], outputs along the vector:

       out[i, o] = sum_t sum_c src[t][i * step + c] * w[t][c, o]

   Forward: rows of x, taps (r, s). Backward-data: rows of dy, the taps that meet input row h, one pass for each phase
   of the column modulo the stride, weights with I and O exchanged. Rows with padding, or behind a ReLU, are copied to a
   ring of padded rows, so the inner loop tests no bounds; rows outside the image are left out of the sum.

   The gradient of the weights is in conv2d_weights_simd.inc.h.

   Depthwise convolutions (one channel a group, both sides) keep channels along the vector throughout. */

enum {
    BW_KV = ZS_ACCUMULATORS >= 24 ? 1 : 2,  /* backward-weights: vectors of outputs */
    BW_C = ZS_ACCUMULATORS >= 24 ? 8 : 2,   /* ... and input channels, times three filter columns */
    BW_C1 = ZS_ACCUMULATORS >= 24 ? 16 : 6, /* ... times one */
    BW_BUFFER_BYTES = 24 * 1024,            /* rows that backward-weights holds: half of a first-level cache */
    FLAT_BYTES = 8 * 1024,                  /* of a row that a 1x1 convolution makes of several, */
    FLAT_PIXELS = 32,                       /* ... or so many pixels, each time that weights are read */
};

static bool is_depthwise(const zs_conv2d *d) { return d->groups == d->C && d->K == d->C && d->C > 1; }

static int max_int(int a, int b) { return a > b ? a : b; }
static int min_int(int a, int b) { return a < b ? a : b; }
static int floor_div(int a, int b) { /* mostly by 1 or 2 */
    if (b == 1) return a;
    if (b == 2) return a >> 1;
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static size_t round_vec(int n) { return (size_t)(n + VL - 1) / VL * VL; }
static int per_group_in(const zs_conv2d *d) { return d->C / d->groups; }
static int per_group_out(const zs_conv2d *d) { return d->K / d->groups; }
static int n_taps(const zs_conv2d *d) { return d->win.R * d->win.S; }

/* --- packed weights: [group][tap][in][out up to whole vectors], backward in and out exchanged --------------------- */

static size_t direct_packed_bytes(const zs_conv2d *d, bool back) {
    const int I = back ? per_group_out(d) : per_group_in(d), O = back ? per_group_in(d) : per_group_out(d);
    const size_t reals = is_depthwise(d) ? round_vec(d->C) : (size_t)d->groups * (size_t)I * round_vec(O);
    return (size_t)n_taps(d) * reals * sizeof(real);
}

static void direct_pack(const zs_conv2d *d, const void *weights, bool back, void *packed) {
    const real *w = weights;
    real *out = packed;
    memset(packed, 0, direct_packed_bytes(d, back));
    const int I = per_group_in(d), O = per_group_out(d), T = n_taps(d);
    if (is_depthwise(d)) {
        for (int t = 0; t < T; t++)
            memcpy(out + (size_t)t * round_vec(d->C), w + (size_t)t * (size_t)d->C, (size_t)d->C * sizeof(real));
        return;
    }
    const size_t Op = round_vec(O), Ip = round_vec(I);
    for (int g = 0; g < d->groups; g++)
        for (int t = 0; t < T; t++)
            for (int c = 0; c < I; c++)
                for (int o = 0; o < O; o++) {
                    const size_t tap = (size_t)g * (size_t)T + (size_t)t;
                    const real v = w[((size_t)t * (size_t)I + (size_t)c) * (size_t)d->K + (size_t)(g * O + o)];
                    const size_t to = back ? (tap * (size_t)O + (size_t)o) * Ip + (size_t)c
                                           : (tap * (size_t)I + (size_t)c) * Op + (size_t)o;
                    out[to] = v;
                }
}

/* --- scratch ------------------------------------------------------------------------------------------------------ */

typedef struct taps {
    const real **src;
    const real **w;
} taps;

/* A ring of padded rows: row i of the source lies at base + (i mod n_rows) * row, its column j at + (j + left) * C. */
typedef struct ring {
    real *base;
    size_t row;
    int n_rows, left, right, width, C;
    int loaded; /* rows below this one are in the ring, or gone */
    uint64_t inverse; /* of n_rows, times 2^42, rounded up */
} ring;

static ring ring_make(real *base, int n_rows, int left, int right, int width, int C) {
    const size_t row = (size_t)(left + width + right) * (size_t)C;
    return (ring){
        base, row, n_rows, left, right, width, C, 0, (((uint64_t)1 << 42) + (uint64_t)n_rows - 1) / (uint64_t)n_rows};
}

static size_t ring_reals(const ring *r) { return round_vec((int)1) + (size_t)r->n_rows * r->row; }

static ring forward_ring(const zs_conv2d *d, real *base, int more_rows) {
    const zs_window *w = &d->win;
    const int right = max_int(0, (d->Q - 1) * w->stride_w + (w->S - 1) * w->dil_w - w->pad_w - (d->W - 1));
    return ring_make(base, w->dil_h * (w->R - 1) + 1 + more_rows, w->pad_w, right, d->W, d->C);
}

static ring backward_ring(const zs_conv2d *d, real *base) {
    const zs_window *w = &d->win;
    const int first = floor_div(w->pad_w - (w->S - 1) * w->dil_w, w->stride_w);
    const int last = floor_div(d->W - 1 + w->pad_w, w->stride_w);
    return ring_make(base, (w->R - 1) * w->dil_h / w->stride_h + 2, max_int(0, -first), max_int(0, last - (d->Q - 1)),
                     d->Q, d->K);
}

/* Output rows that backward-weights takes at a time. */
static int weight_rows(const zs_conv2d *d) {
    const zs_window *w = &d->win;
    const ring r = forward_ring(d, NULL, 0);
    const int room = (int)(BW_BUFFER_BYTES / sizeof(real) / (r.row ? r.row : 1)) - w->dil_h * (w->R - 1) - 1;
    return max_int(1, min_int(d->P, room / w->stride_h + 1));
}

static ring weight_ring(const zs_conv2d *d, real *base) {
    return forward_ring(d, base, (weight_rows(d) - 1) * d->win.stride_h);
}

static bool sees_pixels_alone(const zs_conv2d *d) {
    const zs_window *w = &d->win;
    return w->R == 1 && w->S == 1 && w->stride_h == 1 && w->stride_w == 1 && !w->pad_h && !w->pad_w;
}

/* The rows of a 1x1 convolution without gaps between them, as fewer and longer rows, of n_pixels where that takes more
   than FLAT_BYTES. */
static zs_conv2d with_longer_rows(const zs_conv2d *d, int n_pixels) {
    zs_conv2d f = *d;
    const size_t row = (size_t)d->W * (size_t)max_int(d->C, d->K) * sizeof(real);
    int joined = min_int(d->H, max_int((n_pixels + d->W - 1) / d->W, (int)(FLAT_BYTES / row)));
    while (d->H % joined) joined--;
    f.W = f.Q = d->W * joined;
    f.H = f.P = d->H / joined;
    return f;
}

static size_t rings_reals(const zs_conv2d *d) {
    const ring f = forward_ring(d, NULL, 0), b = backward_ring(d, NULL), w = weight_ring(d, NULL);
    size_t reals = ring_reals(&f);
    if (ring_reals(&b) > reals) reals = ring_reals(&b);
    if (ring_reals(&w) > reals) reals = ring_reals(&w);
    return reals;
}

static size_t direct_scratch_bytes(const zs_conv2d *d) {
    const zs_conv2d longer = sees_pixels_alone(d) ? with_longer_rows(d, 1) : *d;
    const size_t plain = rings_reals(d), flat = rings_reals(&longer), reals = plain > flat ? plain : flat;
    return 2 * (size_t)n_taps(d) * sizeof(real *) + ZS_ALIGN + reals * sizeof(real);
}

static real *scratch_start(const zs_conv2d *d, void *scratch, taps *t) {
    t->src = scratch;
    t->w = t->src + n_taps(d);
    return (real *)((char *)scratch + zs_round_up(2 * (size_t)n_taps(d) * sizeof(real *), ZS_ALIGN));
}

static void fill_pixels(real *to, const zs_view *x, int n, int h, int width, int C, bool relu) {
    const real *from = at(x, n, h, 0);
    if (!relu && x->sw == C) {
        memcpy(to, from, (size_t)width * (size_t)C * sizeof(real));
        return;
    }
    const int runs = x->sw == C ? 1 : width, length = x->sw == C ? width * C : C; /* runs of adjacent reals */
    for (int i = 0; i < runs; i++, from += x->sw, to += length) {
        int c = 0;
        for (; c + VL <= length; c += VL) v_store(to + c, relu ? v_relu(v_load(from + c)) : v_load(from + c));
        if (c < length) {
            const vec v = v_load_lanes(from + c, length - c);
            v_store_lanes(to + c, relu ? v_relu(v) : v, length - c);
        }
    }
}

static real *ring_row(const ring *r, int i) { /* i mod n_rows: exact while i < 2^20 and i n_rows < 2^42 */
    const uint64_t turns = (uint64_t)i * r->inverse >> 42;
    return r->base + ((size_t)i - turns * (size_t)r->n_rows) * r->row;
}

/* Zeros beside the rows; they stay, since loads fill the middle. */
static void ring_clear(const ring *r) {
    for (int i = 0; i < r->n_rows; i++) {
        real *row = r->base + (size_t)i * r->row;
        memset(row, 0, (size_t)(r->left * r->C) * sizeof(real));
        memset(row + (size_t)(r->left + r->width) * (size_t)r->C, 0, (size_t)(r->right * r->C) * sizeof(real));
    }
}

/* Loads the rows up to and with `last` that are not there yet and that anyone still needs (from `first` on). */
static void ring_load(ring *r, const zs_view *x, int n, int first, int last, bool relu) {
    for (int i = max_int(r->loaded, first); i <= last; i++) {
        fill_pixels(ring_row(r, i) + r->left * r->C, x, n, i, r->width, r->C, relu);
        r->loaded = i + 1;
    }
}

/* --- forward and backward-data ------------------------------------------------------------------------------------ */

/* Where a row of outputs goes. */
typedef struct row_out {
    real *p;
    ptrdiff_t step; /* between pixels */
    bool add;
    const real *bias; /* or NULL */
    const real *mask; /* or NULL: outputs count only where mask > 0 or NaN; same channels, step mask_step */
    ptrdiff_t mask_step;
} row_out;

/* px pixels from `pixel` on, n lanes from channel o on; v[i * stride] is that of pixel i. */
INLINE void put_pixels(int px, const row_out *out, int pixel, int o, int n, const vec *v, int stride) {
    real *p = out->p + pixel * out->step + o;
    if (!out->mask && !out->add) {
#pragma GCC unroll 8
        for (int i = 0; i < px; i++) v_store_lanes(p + i * out->step, v[i * stride], n);
        return;
    }
    const real *x = out->mask ? out->mask + pixel * out->mask_step + o : NULL;
#pragma GCC unroll 8
    for (int i = 0; i < px; i++, p += out->step) {
        vec sum = v[i * stride];
        if (x) {
            sum = v_select(v_load_lanes(x, n) <= (vec){0}, (vec){0}, sum);
            x += out->mask_step;
        }
        if (out->add) sum += v_load_lanes(p, n);
        v_store_lanes(p, sum, n);
    }
}

/* What the tiles of a row have in common. */
typedef struct conv_job {
    const taps *t;
    int n_taps, I, n_out;
    ptrdiff_t step;
    size_t ldw; /* between the weights of two input channels */
    const row_out *out;
} conv_job;

/* px pixels, kv vectors of outputs from o on. px and kv are constants where this is inlined. Pixels are reached from
   three pointers by 0, 1 or 2 steps, which are addressing modes; one index a pixel would not fit in registers. */
INLINE void conv_tile(int px, int kv, const conv_job *job, int pixel, int o) {
    const row_out *out = job->out;
    const ptrdiff_t step = job->step;
    const size_t ldw = job->ldw;
    vec acc[8][2];
#pragma GCC unroll 2
    for (int k = 0; k < kv; k++) {
        const vec start = out->bias ? v_load_lanes(out->bias + o + k * VL, job->n_out - o - k * VL) : (vec){0};
#pragma GCC unroll 8
        for (int p = 0; p < px; p++) acc[p][k] = start;
    }
    for (int i = 0; i < job->n_taps; i++) {
        const real *x0 = job->t->src[i] + pixel * step, *x3 = x0 + 3 * step, *x6 = x3 + 3 * step;
        const real *w = job->t->w[i] + o;
        const real *const end = x0 + job->I;
        for (; x0 < end; x0++, x3++, x6++, w += ldw) {
            vec wv[2];
#pragma GCC unroll 2
            for (int k = 0; k < kv; k++) wv[k] = v_load(w + k * VL);
#pragma GCC unroll 8
            for (int p = 0; p < px; p++) {
                const real *const x = p < 3 ? x0 : p < 6 ? x3 : x6;
                const vec xv = v_set(x[p % 3 * step]);
#pragma GCC unroll 2
                for (int k = 0; k < kv; k++) acc[p][k] += xv * wv[k];
            }
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < kv; k++) put_pixels(px, out, pixel, o + k * VL, job->n_out - o - k * VL, &acc[0][k], 2);
}

/* A function a shape: together they would spill. */
#define CONV_TILE(px, kv)                                                                                          \
    static __attribute__((noinline)) void conv_tile_##px##x##kv(const conv_job *job, int pixel, int o) {           \
        conv_tile(px, kv, job, pixel, o);                                                                          \
    }
CONV_TILE(1, 1)
CONV_TILE(2, 1)
CONV_TILE(4, 1)
CONV_TILE(8, 1)
CONV_TILE(1, 2)
CONV_TILE(2, 2)
CONV_TILE(4, 2)
#if ZS_ACCUMULATORS >= 24
CONV_TILE(8, 2)
#else
CONV_TILE(6, 2)
#endif
#undef CONV_TILE

static void conv_strip1(const conv_job *job, int n_pixels, int o) {
    int i = 0;
    for (; i + 8 <= n_pixels; i += 8) conv_tile_8x1(job, i, o);
    for (; i + 4 <= n_pixels; i += 4) conv_tile_4x1(job, i, o);
    for (; i + 2 <= n_pixels; i += 2) conv_tile_2x1(job, i, o);
    if (i < n_pixels) conv_tile_1x1(job, i, o);
}

static void conv_strip2(const conv_job *job, int n_pixels, int o) {
    int i = 0;
#if ZS_ACCUMULATORS >= 24
    for (; i + 8 <= n_pixels; i += 8) conv_tile_8x2(job, i, o);
#else
    for (; i + 6 <= n_pixels && i + 8 != n_pixels; i += 6) conv_tile_6x2(job, i, o); /* 8 are 4 and 4, not 6 and 2 */
#endif
    for (; i + 4 <= n_pixels; i += 4) conv_tile_4x2(job, i, o);
    for (; i + 2 <= n_pixels; i += 2) conv_tile_2x2(job, i, o);
    if (i < n_pixels) conv_tile_1x2(job, i, o);
}

static void conv_row(int n, const taps *t, int n_pixels, ptrdiff_t step, int I, int n_out, const row_out *out) {
    const conv_job job = {t, n, I, n_out, step, round_vec(n_out), out};
    int o = 0;
    for (; o + VL < n_out; o += 2 * VL) conv_strip2(&job, n_pixels, o);
    if (o < n_out) conv_strip1(&job, n_pixels, o);
}

/* --- depthwise ---------------------------------------------------------------------------------------------------- */

/* Rows of x whose pixels are sw apart: output i and tap s meet at pixel i * stride + s * dil, where dil may be
   negative. Outputs whose pixels are whole taps apart go together, in phases. */
typedef struct depthwise_plan {
    int S, C, stride, dil, n_phases;
    ptrdiff_t sw;
    size_t ldw; /* between the weights of two taps */
} depthwise_plan;

static int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }

static depthwise_plan depthwise_make(int S, int C, int stride, int dil, ptrdiff_t sw, size_t ldw) {
    if (S < 2) dil = stride;
    const int apart = dil < 0 ? -dil : dil;
    return (depthwise_plan){S, C, stride, dil, apart / gcd(stride, apart), sw, ldw};
}

/* out[i, c] = sum_r sum_{s < S} src[r][i * step + s * unit + c] * w[r][s * ldw + c] */
typedef struct depthwise_job {
    const taps *t;
    int n_rows, S, n_pixels;
    ptrdiff_t start, step, unit;
    size_t ldw;
    row_out out;
} depthwise_job;

/* S taps side by side for px pixels `stride` units apart: a vector of x serves all pixels that see it. */
INLINE void depthwise_taps(int px, int S, int stride, const real *x, ptrdiff_t unit, const real *w, size_t ldw, int n,
                           vec *acc) {
    vec wv[4];
#pragma GCC unroll 4
    for (int s = 0; s < S; s++) wv[s] = v_load(w + (size_t)s * ldw);
#pragma GCC unroll 18
    for (int j = 0; j < stride * (px - 1) + S; j++, x += unit) {
        const vec xv = v_load_lanes(x, n);
#pragma GCC unroll 8
        for (int p = 0; p < px; p++)
            if (j >= stride * p && j < stride * p + S) acc[p] += xv * wv[j - stride * p];
    }
}

/* n lanes from channel c on of as many pixels as px divides, from `pixel` on. */
INLINE void depthwise_strip(int px, int stride, const depthwise_job *job, int pixel, int c, int n) {
    const row_out *out = &job->out;
    const ptrdiff_t unit = job->unit, step = job->step;
    const size_t ldw = job->ldw;
    const int S = job->S;
    const vec start = out->bias ? v_load_lanes(out->bias + c, n) : (vec){0};
    ptrdiff_t at_x = job->start + pixel * step + c;
    for (; pixel + px <= job->n_pixels; pixel += px, at_x += px * step) {
        vec acc[8];
#pragma GCC unroll 8
        for (int p = 0; p < px; p++) acc[p] = start;
        for (int i = 0; i < job->n_rows; i++) {
            const real *x = job->t->src[i] + at_x, *w = job->t->w[i] + c;
            int left = S;
            for (; left >= 4; left -= 4, x += 4 * unit, w += 4 * ldw)
                depthwise_taps(px, 4, stride, x, unit, w, ldw, n, acc);
            if (left == 3) depthwise_taps(px, 3, stride, x, unit, w, ldw, n, acc);
            if (left == 2) depthwise_taps(px, 2, stride, x, unit, w, ldw, n, acc);
            if (left == 1) depthwise_taps(px, 1, stride, x, unit, w, ldw, n, acc);
        }
        put_pixels(px, out, pixel, c, n, acc, 1);
    }
}

/* All channels; the first pixel that is left over. */
#define DEPTHWISE_STRIP(px, stride)                                                                                    \
    static __attribute__((noinline)) int depthwise_strip_##px##_##stride(const depthwise_job *job, int pixel, int C) { \
        int c = 0;                                                                                                     \
        for (; c + VL <= C; c += VL) depthwise_strip(px, stride, job, pixel, c, VL);                                   \
        if (c < C) depthwise_strip(px, stride, job, pixel, c, (C - c) & (VL - 1));                                     \
        return pixel + (job->n_pixels - pixel) / px * px;                                                              \
    }
DEPTHWISE_STRIP(8, 1)
DEPTHWISE_STRIP(4, 1)
DEPTHWISE_STRIP(8, 2)
DEPTHWISE_STRIP(4, 2)
DEPTHWISE_STRIP(1, 1)
#undef DEPTHWISE_STRIP

static void depthwise_row(const depthwise_plan *plan, const taps *t, int n_rows, int n_pixels, const row_out *out) {
    const int sign = plan->dil < 0 ? -1 : 1, apart = sign * plan->n_phases;
    for (int phase = 0; phase < plan->n_phases && phase < n_pixels; phase++) {
        const int n = plan->n_phases == 1 ? n_pixels : (n_pixels - phase + plan->n_phases - 1) / plan->n_phases;
        const int first = sign < 0 ? phase + (n - 1) * plan->n_phases : phase;
        depthwise_job job = {t, plan->S > 0 ? n_rows : 0, plan->S, n, .ldw = plan->ldw, .out = *out};
        job.start = first * plan->stride * plan->sw;
        job.step = apart * plan->stride * plan->sw;
        job.unit = plan->dil * plan->sw;
        job.out.p += first * out->step; /* from the last pixel back where dil is negative: the same order of taps */
        job.out.step *= apart;
        if (out->mask) job.out.mask += first * out->mask_step;
        job.out.mask_step *= apart;
        int i = 0;
        if (job.step == job.unit) {
            if (i + 8 <= n) i = depthwise_strip_8_1(&job, i, plan->C);
            if (i + 4 <= n) i = depthwise_strip_4_1(&job, i, plan->C);
        } else if (job.step == 2 * job.unit) {
            if (i + 8 <= n) i = depthwise_strip_8_2(&job, i, plan->C);
            if (i + 4 <= n) i = depthwise_strip_4_2(&job, i, plan->C);
        }
        if (i < n) depthwise_strip_1_1(&job, i, plan->C);
    }
}

/* A 1x1 convolution sees pixels alone: rows without gaps between them become longer ones, and samples of one pixel, or
   of one row and n_pixels at the most, one long row. */
static zs_conv2d flattened(const zs_conv2d *d, int *n0, int *n1, zs_view *const *views, int n_views, int n_pixels) {
    zs_conv2d f = *d;
    if (!sees_pixels_alone(d)) return f;
    bool joined = d->H * d->W > 1, samples = true; /* follow each other without a gap */
    for (int i = 0; i < n_views; i++) {
        if (!views[i]->p) continue;
        joined = joined && views[i]->sh == d->W * views[i]->sw;
        samples = samples && views[i]->sn == d->H * d->W * views[i]->sw;
    }
    if (joined) f = with_longer_rows(d, d->relu ? 1 : n_pixels); /* rows that are copied stay in a first-level cache */
    for (int i = 0; joined && i < n_views; i++) views[i]->sh = f.W * views[i]->sw;
    const bool pixels = d->H == 1 && d->W == 1;
    if (d->relu || f.H > 1 || !(pixels || (samples && f.W <= n_pixels))) return f;
    for (int i = 0; i < n_views; i++) {
        if (!views[i]->p) continue;
        views[i]->p = (real *)views[i]->p + *n0 * views[i]->sn;
        if (pixels) views[i]->sw = views[i]->sn;
    }
    f.W = f.Q = f.W * (*n1 - *n0);
    *n0 = 0;
    *n1 = 1;
    return f;
}

static void direct_fwd(const zs_conv2d *dims, int n0, int n1, const zs_view *x_, const void *packed, const void *bias,
                       const zs_view *y_, void *scratch) {
    zs_view x = *x_, y = *y_;
    zs_view *const views[] = {&x, &y};
    const zs_conv2d flat = flattened(dims, &n0, &n1, views, 2, FLAT_PIXELS), *d = &flat;
    const zs_window *w = &d->win;
    const bool depthwise = is_depthwise(d), direct = !d->relu && w->pad_w == 0;
    const int I = per_group_in(d), O = per_group_out(d);
    const size_t tap_size = depthwise ? round_vec(d->C) : (size_t)I * round_vec(O);
    const ptrdiff_t sw = direct ? x.sw : d->C;
    taps t;
    const ring shape = forward_ring(d, scratch_start(dims, scratch, &t), 0);
    const depthwise_plan plan = depthwise_make(w->S, d->C, w->stride_w, w->dil_w, sw, tap_size);
    if (!direct) ring_clear(&shape);
    for (int n = n0; n < n1; n++) {
        ring r = shape;
        for (int p = 0; p < d->P; p++) {
            const int top = p * w->stride_h - w->pad_h;
            const int last = min_int(d->H - 1, top + (w->R - 1) * w->dil_h);
            if (p + 1 < d->P) prefetch_row(&y, n, p + 1, d->Q);
            if (!direct) ring_load(&r, &x, n, max_int(0, top), last, d->relu);
            for (int g = 0; g < (depthwise ? 1 : d->groups); g++) {
                int m = 0;
                for (int i = 0; i < w->R; i++) {
                    const int h = top + i * w->dil_h;
                    if (h < 0 || h >= d->H) continue;
                    const real *row = direct ? at(&x, n, h, 0) : ring_row(&r, h);
                    for (int s = 0; s < (depthwise ? 1 : w->S); s++, m++) {
                        t.src[m] = row + s * w->dil_w * sw + g * I;
                        t.w[m] = (const real *)packed + (size_t)(g * n_taps(d) + i * w->S + s) * tap_size;
                    }
                }
                const row_out out = {
                    .p = at_mut(&y, n, p, 0) + g * O, .step = y.sw, .bias = bias ? (const real *)bias + g * O : NULL};
                if (depthwise)
                    depthwise_row(&plan, &t, m, d->Q, &out);
                else
                    conv_row(m, &t, d->Q, w->stride_w * sw, I, O, &out);
            }
        }
    }
}

/* Input columns phase, phase + stride, ... of one row: they meet every tap_step-th filter column from `first` on. */
typedef struct column_phase {
    int first, tap_step, n_pixels;
    depthwise_plan plan;
} column_phase;

enum { MAX_PHASES = 4 }; /* that are kept */

static column_phase phase_make(const zs_conv2d *d, int phase, ptrdiff_t sw, size_t tap_size) {
    const zs_window *w = &d->win;
    column_phase f = {.tap_step = w->stride_w / gcd(w->stride_w, w->dil_w)};
    while (f.first < w->S && (phase + w->pad_w - f.first * w->dil_w) % w->stride_w) f.first++;
    f.n_pixels = (d->W - phase + w->stride_w - 1) / w->stride_w;
    f.plan = depthwise_make((w->S - f.first + f.tap_step - 1) / f.tap_step, d->C, 1,
                            -w->dil_w * f.tap_step / w->stride_w, sw, (size_t)f.tap_step * tap_size);
    return f;
}

/* Input row h of one sample: its taps are the (r, s) with p stride + r dil - pad = h, likewise for columns. */
static void backward_row(const zs_conv2d *d, int n, int h, const zs_view *dy, bool direct, ring *r, const real *weights,
                         const column_phase *phases, const zs_view *x, const zs_view *dx, bool add, taps *t) {
    const zs_window *w = &d->win;
    const bool depthwise = is_depthwise(d);
    const int I = per_group_in(d), O = per_group_out(d);
    const size_t tap_size = depthwise ? round_vec(d->C) : (size_t)O * round_vec(I);
    const int last = min_int(d->P - 1, floor_div(h + w->pad_h, w->stride_h));
    const int first = max_int(0, floor_div(h + w->pad_h - (w->R - 1) * w->dil_h, w->stride_h));
    if (h + 1 < d->H) prefetch_row(dx, n, h + 1, d->W);
    if (!direct) ring_load(r, dy, n, first, last, false);
    const ptrdiff_t sw = direct ? dy->sw : d->K;
    for (int phase = 0; phase < min_int(w->stride_w, d->W); phase++) {
        const column_phase f = phase < MAX_PHASES ? phases[phase] : phase_make(d, phase, sw, tap_size);
        const int end = depthwise ? min_int(f.first + 1, w->S) : w->S;
        for (int g = 0; g < (depthwise ? 1 : d->groups); g++) {
            int m = 0;
            for (int i = 0; i < w->R; i++) {
                const int p = floor_div(h + w->pad_h - i * w->dil_h, w->stride_h);
                if (p < 0 || p >= d->P || p * w->stride_h != h + w->pad_h - i * w->dil_h) continue;
                const real *row = direct ? at(dy, n, p, 0) : ring_row(r, p) + r->left * d->K;
                for (int s = f.first; s < end; s += f.tap_step, m++) {
                    const int q = phase + w->pad_w - s * w->dil_w;
                    t->src[m] = row + floor_div(q, w->stride_w) * sw + g * O;
                    t->w[m] = weights + (size_t)(g * n_taps(d) + i * w->S + s) * tap_size;
                }
            }
            const row_out out = {.p = at_mut(dx, n, h, phase) + g * I,
                                 .step = w->stride_w * dx->sw,
                                 .add = add,
                                 .mask = d->relu ? at(x, n, h, phase) + g * I : NULL,
                                 .mask_step = w->stride_w * x->sw};
            if (depthwise)
                depthwise_row(&f.plan, t, m, f.n_pixels, &out);
            else
                conv_row(m, t, f.n_pixels, sw, O, I, &out);
        }
    }
}

static void direct_bwd_x(const zs_conv2d *dims, int n0, int n1, const zs_view *dy_, const void *packed,
                         const zs_view *x_, const zs_view *dx_, bool add, void *scratch) {
    zs_view dy = *dy_, x = dims->relu ? *x_ : (zs_view){0}, dx = *dx_;
    zs_view *const views[] = {&dy, &x, &dx};
    const zs_conv2d flat = flattened(dims, &n0, &n1, views, 3, FLAT_PIXELS), *d = &flat;
    taps t;
    real *base = scratch_start(dims, scratch, &t);
    const real *weights = packed;
    const ring shape = backward_ring(d, base);
    const bool direct = shape.left == 0 && shape.right == 0;
    if (!direct) ring_clear(&shape);
    column_phase phases[MAX_PHASES];
    const size_t tap_size = is_depthwise(d) ? round_vec(d->C) : (size_t)per_group_out(d) * round_vec(per_group_in(d));
    for (int i = 0; i < MAX_PHASES && i < d->win.stride_w; i++)
        phases[i] = phase_make(d, i, direct ? dy.sw : d->K, tap_size);
    for (int n = n0; n < n1; n++) {
        ring r = shape;
        for (int h = 0; h < d->H; h++) backward_row(d, n, h, &dy, direct, &r, weights, phases, &x, &dx, add, &t);
    }
}
