/* Joins of partial gradients, statistics over gradients and activations, and the way in and out of the arena. */

/* WIDE_RUN wide vectors at a time keep each part's cache lines whole. */
enum { WIDE_RUN = 4 };

INLINE void join_run(int n_wide, size_t n, int n_parts, size_t stride, const real *parts, real *out) {
    wide sum[WIDE_RUN];
    for (int k = 0; k < n_wide; k++) sum[k] = (wide){0};
    for (int j = 0; j < n_parts; j++)
        for (int k = 0; k < n_wide; k++) sum[k] += w_from_n(parts + (size_t)j * stride + k * WL, n);
    for (int k = 0; k < n_wide; k++) w_to_n(out + k * WL, sum[k], n);
}

static void ZS_ISA(join)(size_t n, int n_parts, size_t stride, const void *parts, void *out) {
    size_t i = 0;
    for (; i + WIDE_RUN * WL <= n; i += WIDE_RUN * WL)
        join_run(WIDE_RUN, WL, n_parts, stride, (const real *)parts + i, (real *)out + i);
    for (; i < n; i += WL) join_run(1, n - i, n_parts, stride, (const real *)parts + i, (real *)out + i);
}

INLINE void moments_run(size_t n, const real *g, double t, double *mean, double *m2, double *sum) {
    wide v = w_from_n(g, n);
    if (sum) {
        v += w_load_n(sum, n);
        w_store_n(sum, v, n);
    }
    const wide before = w_load_n(mean, n), delta = v - before, after = before + delta / t;
    w_store_n(mean, after, n);
    w_store_n(m2, w_load_n(m2, n) + delta * (v - after), n);
}

INLINE void moments_all(size_t n, const real *g, double t, double *mean, double *m2, double *sum) {
    size_t i = 0;
    for (; i + WL <= n; i += WL) moments_run(WL, g + i, t, mean + i, m2 + i, sum ? sum + i : NULL);
    if (i < n) moments_run(n - i, g + i, t, mean + i, m2 + i, sum ? sum + i : NULL);
}

static void ZS_ISA(moments)(size_t n, const void *g, int64_t count, double *mean, double *m2, double *sum) {
    const double t = (double)(count + 1);
    if (sum)
        moments_all(n, g, t, mean, m2, sum);
    else
        moments_all(n, g, t, mean, m2, NULL);
}

/* Bit i: lane i is greater than 0. */
INLINE uint64_t v_positive(vec v) {
#ifdef __AVX512F__
    return sizeof(real) == 4 ? _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_GT_OQ)
                             : _mm512_cmp_pd_mask((__m512d)v, _mm512_setzero_pd(), _CMP_GT_OQ);
#elif defined __AVX2__
    const mask m = v > (vec){0};
    return sizeof(real) == 4 ? (uint64_t)_mm256_movemask_ps((__m256)m) : (uint64_t)_mm256_movemask_pd((__m256d)m);
#else
    const mask m = v > (vec){0};
    uint64_t bits = 0;
    for (int i = 0; i < VL; i++) bits |= (uint64_t)(m[i] & 1) << i;
    return bits;
#endif
}

static void ZS_ISA(positive_bits)(size_t n, const void *g, uint64_t *bits) {
    const real *p = g;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t word = 0;
        for (int j = 0; j < 64; j += VL) word |= v_positive(v_load(p + i + j)) << j;
        bits[i / 64] = word;
    }
    if (i == n) return;
    bits[i / 64] = 0;
    for (size_t j = i; j < n; j += VL)
        bits[i / 64] |= v_positive(v_load_lanes(p + j, n - j < VL ? (int)(n - j) : VL)) << (j - i);
}

/* U wide vectors of channels from c on; pixels in turn go to CHAINS accumulators. */
INLINE void product_strip(int U, int c, size_t n_lanes, zs_shape s, int n, const zs_view *a, const zs_view *d,
                          double *sums) {
    wide sum[2][CHAINS];
    for (int u = 0; u < U; u++)
        for (int j = 0; j < CHAINS; j++) sum[u][j] = (wide){0};
    for (int h = 0; h < s.H; h++) {
        const real *p = at(a, n, h, 0) + c, *q = at(d, n, h, 0) + c;
        int w = 0;
        for (; w + CHAINS <= s.W; w += CHAINS, p += CHAINS * a->sw, q += CHAINS * d->sw)
            for (int j = 0; j < CHAINS; j++)
                for (int u = 0; u < U; u++)
                    sum[u][j] += w_from_n(p + j * a->sw + u * WL, n_lanes) * w_from_n(q + j * d->sw + u * WL, n_lanes);
        for (; w < s.W; w++, p += a->sw, q += d->sw)
            for (int u = 0; u < U; u++) sum[u][0] += w_from_n(p + u * WL, n_lanes) * w_from_n(q + u * WL, n_lanes);
    }
    for (int u = 0; u < U; u++) {
        for (int j = 1; j < CHAINS; j++) sum[u][0] += sum[u][j];
        w_store_n(sums + c + u * WL, sum[u][0], n_lanes);
    }
}

static void ZS_ISA(product_sums)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *d, double *sums) {
    for (int n = n0; n < n1; n++, sums += s.C) {
        int c = 0;
        for (; c + 2 * WL <= s.C; c += 2 * WL) product_strip(2, c, WL, s, n, a, d, sums);
        for (; c + WL <= s.C; c += WL) product_strip(1, c, WL, s, n, a, d, sums);
        if (c < s.C) product_strip(1, c, (size_t)(s.C - c), s, n, a, d, sums);
    }
}

typedef int32_t signs_vec __attribute__((vector_size(VL * sizeof(int32_t)), aligned(sizeof(int32_t)), may_alias));

/* The largest real <= tol: v > tol if and only if v > that, for every real v. */
static real real_below(double tol) {
    const real t = (real)tol;
    return (double)t > tol ? (real)nextafterf((float)t, -INFINITY) : t; /* a double is not rounded */
}

static void ZS_ISA(signs)(size_t n, const void *g, double tol, int32_t *sum) {
    const real *p = g;
    const vec t = v_set(real_below(tol));
    for (size_t i = 0; i < n; i += VL) {
        const size_t left = n - i < VL ? n - i : VL;
        const vec v = v_load_lanes(p + i, (int)left);
        const ints sign = (ints)(-v > t) - (ints)(v > t); /* a mask is -1 where true */
        signs_vec s = {0};
        if (left == VL) {
            *(signs_vec *)(sum + i) += __builtin_convertvector(sign, signs_vec);
        } else {
            memcpy(&s, sum + i, left * sizeof *sum);
            s += __builtin_convertvector(sign, signs_vec);
            memcpy(sum + i, &s, left * sizeof *sum);
        }
    }
}

/* Histogram: reach[e] = number of |g| >= edges[e], by comparison with each edge; an interval holds the difference of
   its two edges' reaches. Values go by blocks that stay in L1, and only edges between a block's least and greatest
   value need comparisons. Longer lists of edges go by parts that share an edge. */
enum { HISTOGRAM_VECS = 32, HISTOGRAM_EDGES = 64 };

typedef struct reach {
    ints partial[HISTOGRAM_EDGES]; /* compared; lanes count down, and hold n / VL < 2^31 */
    int64_t below[HISTOGRAM_EDGES + 1]; /* values of blocks that lie wholly above exactly so many edges */
    real edges[HISTOGRAM_EDGES];
} reach;

INLINE void reach_block(const real *v, int n_edges, reach *r) {
    vec least = v_set((real)INFINITY), greatest = v_set(-1);
    ints valid = {0};
    for (int i = 0; i < HISTOGRAM_VECS * VL; i += VL) {
        const vec a = v_load(v + i);
        least = v_select(a < least, a, least);
        greatest = v_select(a > greatest, a, greatest);
        valid += (ints)(a == a);
    }
    real low = least[0], high = greatest[0];
    for (int i = 1; i < VL; i++) {
        low = least[i] < low ? least[i] : low;
        high = greatest[i] > high ? greatest[i] : high;
    }
    int e = 0;
    while (e < n_edges && r->edges[e] <= low) e++;
    r->below[e] += v_count(valid);
    for (; e < n_edges && r->edges[e] <= high; e++) {
        const vec edge = v_set(r->edges[e]);
        ints sum[2] = {r->partial[e], {0}};
        for (int i = 0; i < HISTOGRAM_VECS * VL; i += 2 * VL) {
            sum[0] += (ints)(v_load(v + i) >= edge);
            sum[1] += (ints)(v_load(v + i + VL) >= edge);
        }
        r->partial[e] = sum[0] + sum[1];
    }
}

static void histogram_part(size_t n, const real *g, int n_edges, const double *edges, int64_t *counts) {
    reach r = {0};
    real v[HISTOGRAM_VECS * VL];
    for (int e = 0; e < n_edges; e++) r.edges[e] = (real)edges[e];
    for (size_t i = 0; i < n; i += HISTOGRAM_VECS * VL) {
        if (n - i >= HISTOGRAM_VECS * VL)
            for (int j = 0; j < HISTOGRAM_VECS * VL; j += VL) v_store(v + j, v_abs(v_load(g + i + j)));
        else
            for (size_t j = 0; j < HISTOGRAM_VECS * VL; j++)
                v[j] = i + j < n ? (real)fabs((double)g[i + j]) : (real)NAN;
        reach_block(v, n_edges, &r);
    }
    int64_t above = 0, next = 0; /* of edge e, e + 1 */
    for (int e = n_edges - 1; e >= 0; e--) {
        above += r.below[e + 1];
        const int64_t here = above + v_count(r.partial[e]);
        if (e < n_edges - 1) counts[e] += here - next;
        next = here;
    }
}

static void ZS_ISA(histogram)(size_t n, const void *g, int n_edges, const double *edges, int64_t *counts) {
    for (int e = 0; e < n_edges - 1; e += HISTOGRAM_EDGES - 1)
        histogram_part(n, g, n_edges - e < HISTOGRAM_EDGES ? n_edges - e : HISTOGRAM_EDGES, edges + e, counts + e);
}

/* One instruction, or sums of ever wider fields, which SSE2 does two words at a time. */
static inline uint64_t bits_of(uint64_t x) {
#if defined __POPCNT__ || defined __aarch64__
    return (uint64_t)__builtin_popcountll(x);
#else
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    x += x >> 8;
    x += x >> 16;
    return (x + (x >> 32)) & 0x7F;
#endif
}

static int64_t ZS_ISA(hamming)(size_t n_words, const uint64_t *a, const uint64_t *b) {
    uint64_t count = 0;
    for (size_t i = 0; i < n_words; i++) count += bits_of(a[i] ^ b[i]);
    return (int64_t)count;
}

static double ZS_ISA(dot)(size_t n, const void *x, const void *y) {
    const real *p = x, *q = y;
    wide sum[WIDE_RUN] = {{0}};
    size_t i = 0;
    for (; i + WIDE_RUN * WL <= n; i += WIDE_RUN * WL)
        for (int k = 0; k < WIDE_RUN; k++) sum[k] += w_from_n(p + i + k * WL, WL) * w_from_n(q + i + k * WL, WL);
    for (; i < n; i += WL) sum[0] += w_from_n(p + i, n - i) * w_from_n(q + i, n - i);
    const wide all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = 0;
    for (int k = 0; k < WL; k++) total += all[k];
    return total;
}

static size_t ZS_ISA(count_nonfinite)(size_t n, const void *g) {
    ints sum = {0};
    for (size_t i = 0; i < n; i += VL) {
        const vec v = v_load_lanes((const real *)g + i, n - i < VL ? (int)(n - i) : VL);
        sum += (ints)((v - v) != (vec){0});
    }
    return (size_t)v_count(sum);
}

static size_t ZS_ISA(count_nonzero)(size_t n, const void *g) {
    ints sum = {0};
    for (size_t i = 0; i < n; i += VL) {
        const vec v = v_load_lanes((const real *)g + i, n - i < VL ? (int)(n - i) : VL);
        sum += (ints)(v != (vec){0});
    }
    return (size_t)v_count(sum);
}

/* Transpositions, by tiles of channels that stay in L1 with all they read and write. */

static inline real read_as(zs_dtype dtype, const void *p, size_t i) {
    return dtype == ZS_F64 ? (real)((const double *)p)[i] : (real)((const float *)p)[i];
}

INLINE void load_images_as(zs_shape s, int n_samples, zs_dtype dtype, const void *x, const zs_view *y) {
    const size_t plane = (size_t)s.H * (size_t)s.W;
    for (int n = 0; n < n_samples; n++)
        for (int h = 0; h < s.H; h++)
            for (int c = 0; c < s.C; c++) {
                const size_t from = ((size_t)n * (size_t)s.C + (size_t)c) * plane + (size_t)h * (size_t)s.W;
                real *to = at_mut(y, n, h, 0) + c;
                for (int w = 0; w < s.W; w++) to[w * y->sw] = read_as(dtype, x, from + (size_t)w);
            }
}

static void ZS_ISA(load_images)(zs_shape s, int n, zs_dtype dtype, const void *x, const zs_view *y) {
    if (dtype == ZS_F64)
        load_images_as(s, n, ZS_F64, x, y);
    else
        load_images_as(s, n, ZS_F32, x, y);
}

INLINE size_t tile_end(size_t start, size_t n, size_t size) { return start + n < size ? start + n : size; }

INLINE void load_weight_as(const zs_tensor *t, zs_dtype dtype, const void *w, real *out) {
    const size_t O = (size_t)t->O, I = (size_t)t->I, RS = (size_t)t->R * (size_t)t->S, tile = 16;
    for (size_t o0 = 0; o0 < O; o0 += tile)
        for (size_t i = 0; i < I; i++)
            for (size_t r = 0; r < RS; r++)
                for (size_t o = o0; o < tile_end(o0, tile, O); o++)
                    out[(r * I + i) * O + o] = read_as(dtype, w, (o * I + i) * RS + r);
}

static void ZS_ISA(load_weight)(const zs_tensor *t, zs_dtype dtype, const void *w, void *out) {
    if (dtype == ZS_F64)
        load_weight_as(t, ZS_F64, w, out);
    else
        load_weight_as(t, ZS_F32, w, out);
}

static void ZS_ISA(store_weight)(const zs_tensor *t, const void *w, double *out) {
    const size_t O = (size_t)t->O, I = (size_t)t->I, RS = (size_t)t->R * (size_t)t->S, tile = 8;
    for (size_t o0 = 0; o0 < O; o0 += tile)
        for (size_t i0 = 0; i0 < I; i0 += tile)
            for (size_t i = i0; i < tile_end(i0, tile, I); i++)
                for (size_t r = 0; r < RS; r++)
                    for (size_t o = o0; o < tile_end(o0, tile, O); o++)
                        out[(o * I + i) * RS + r] = (double)((const real *)w)[(r * I + i) * O + o];
}
