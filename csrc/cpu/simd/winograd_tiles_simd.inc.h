/* Tiles of Winograd convolutions: the one-dimensional transforms of F(4, 3) and F(2, 3), and what applies them along
   both axes of a tile: loads with zero padding, stores with bias, mask or sum.

   `span` (outputs of a tile along an axis: 4 or 2) is a constant wherever these are inlined. A transform is done for a
   few of its rows at a time, all columns of them, and the sources loaded again for the next few: loading twice costs
   less than storing intermediate vectors that registers do not hold. */

enum { MAX_SPAN = 4, MAX_PATCH = MAX_SPAN + 2 };

INLINE int patch_of(int span) { return span + 2; }

/* --- one-dimensional transforms ----------------------------------------------------------------------------------- */

/* B^T: a patch */
INLINE void transform_patch(int span, const vec *d, vec *o) {
    if (span == 2) {
        o[0] = d[0] - d[2];
        o[1] = d[1] + d[2];
        o[2] = d[2] - d[1];
        o[3] = d[3] - d[1];
        return;
    }
    const vec a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = d[3] - d[1];
    o[0] = 4 * d[0] + (d[4] - 5 * d[2]);
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + 2 * e;
    o[4] = c - 2 * e;
    o[5] = 4 * d[1] + (d[5] - 5 * d[3]);
}

/* A^T: products to outputs */
INLINE void transform_output(int span, const vec *m, vec *o) {
    const vec a = m[1] + m[2], b = m[1] - m[2];
    if (span == 2) {
        o[0] = m[0] + a;
        o[1] = b + m[3];
        return;
    }
    const vec c = m[3] + m[4], e = m[3] - m[4];
    o[0] = (m[0] + a) + c;
    o[1] = b + 2 * e;
    o[2] = a + 4 * c;
    o[3] = (b + m[5]) + 8 * e;
}

/* A: a tile in the other's place, for the gradient of the filter */
INLINE void transform_tile(int span, const vec *y, vec *o) {
    o[0] = y[0];
    if (span == 2) {
        o[1] = y[0] + y[1];
        o[2] = y[0] - y[1];
        o[3] = y[1];
        return;
    }
    const vec a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4 * y[2], e = y[1] + 4 * y[3];
    o[1] = a + b;
    o[2] = a - b;
    o[3] = c + 2 * e;
    o[4] = c - 2 * e;
    o[5] = y[3];
}

/* G and G^T. F(2, 3) has the points 0, 1, -1 and infinity, F(4, 3) 2 and -2 as well. */
static const double FILTER2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double FILTER4[6][3] = {{1.0 / 4, 0, 0},
                                     {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                     {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                     {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                     {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                     {0, 0, 1}};

INLINE const double *filter_row(int span, int i) { return span == 2 ? FILTER2[i] : FILTER4[i]; }

INLINE void transform_filter_gradient(int span, const vec *m, vec *o) {
    const vec p = m[1] + m[2], q = m[1] - m[2];
    if (span == 2) {
        o[0] = m[0] + (real)0.5 * p;
        o[1] = (real)0.5 * q;
        o[2] = (real)0.5 * p + m[3];
        return;
    }
    const vec r = m[3] + m[4], s = m[3] - m[4];
    o[0] = (real)0.25 * m[0] + ((real)(1.0 / 24) * r - (real)(1.0 / 6) * p);
    o[1] = (real)(1.0 / 12) * s - (real)(1.0 / 6) * q;
    o[2] = (real)(1.0 / 6) * (r - p) + m[5];
}

/* --- where tiles lie ---------------------------------------------------------------------------------------------- */

typedef struct wino {
    int H, W, batch; /* an image; tiles that are worked on together */
    size_t Cp, Kp; /* channels up to whole vectors */
    size_t ld_c, ld_k; /* reals from tile to tile: a cache line more than needed, or all may fall into one set */
} wino;

typedef struct tile_at {
    int n, h, w; /* sample, first row and column */
} tile_at;

INLINE void next_tile(int span, const wino *w, tile_at *t) {
    t->w += span;
    if (t->w < w->W) return;
    t->w = 0;
    t->h += span;
    if (t->h < w->H) return;
    t->h = 0;
    t->n++;
}

/* Rows of pixels that a tile reads. Those outside the image lead to zeros and do not move along. */
typedef struct source {
    const real *row[MAX_PATCH];
    ptrdiff_t step[MAX_PATCH];
    int from, to; /* columns inside the image */
} source;

INLINE source source_at(int size, const wino *w, const zs_view *x, int n, int row, int column, const real *zeros) {
    source s = {.from = column < 0 ? -column : 0, .to = min_int(size, w->W - column)};
    const real *p = at(x, n, row, column + s.from);
#pragma GCC unroll 6
    for (int i = 0; i < size; i++, p += x->sh) {
        const bool inside = row + i >= 0 && row + i < w->H;
        s.row[i] = inside ? p : zeros;
        s.step[i] = inside ? x->sw : 0;
    }
    return s;
}

/* --- two-dimensional transforms ----------------------------------------------------------------------------------- */

#define IN_SET(set, i) ((set) >> (i) & 1u)

/* Rows of a transform that share sums and fit in registers together, as bits. */
enum { MANY = ZS_ACCUMULATORS >= 24 };

/* f(rows, ...) for all rows of a transform from `span` to patch_of(span) */
#define FOR_PATCH_ROWS(span, f, ...)                        \
    do {                                                    \
        if ((span) == 2 && MANY) {                          \
            f(0xfu, span, __VA_ARGS__);                     \
        } else if ((span) == 2) {                           \
            f(0x6u, span, __VA_ARGS__);                     \
            f(0x9u, span, __VA_ARGS__);                     \
        } else if (MANY) {                                  \
            f(0x1eu, span, __VA_ARGS__);                    \
            f(0x21u, span, __VA_ARGS__);                    \
        } else {                                            \
            f(0x06u, span, __VA_ARGS__);                    \
            f(0x18u, span, __VA_ARGS__);                    \
            f(0x21u, span, __VA_ARGS__);                    \
        }                                                   \
    } while (0)

#define FOR_OUTPUT_ROWS(span, f, ...)                       \
    do {                                                    \
        if ((span) == 2 || MANY) {                          \
            f(0xfu, span, __VA_ARGS__);                     \
        } else {                                            \
            f(0x5u, span, __VA_ARGS__);                     \
            f(0xau, span, __VA_ARGS__);                     \
        }                                                   \
    } while (0)

/* Rows of V = B^T d B (tile: false) or of A d A^T (tile: true) for n <= VL channels from c on. */
INLINE void source_rows(unsigned set, int span, bool tile, bool relu, int n, const source *s, int c, real *out) {
    const int size = tile ? span : patch_of(span), patch = patch_of(span);
    const real *p[MAX_PATCH];
    vec half[MAX_PATCH][MAX_PATCH];
#pragma GCC unroll 6
    for (int i = 0; i < size; i++) p[i] = s->row[i] + c;
#pragma GCC unroll 6
    for (int j = 0; j < size; j++) {
        vec d[MAX_PATCH], o[MAX_PATCH];
        if ((j > 0 || s->from == 0) && j < s->to) {
#pragma GCC unroll 6
            for (int i = 0; i < size; i++) {
                d[i] = v_load_lanes(p[i], n);
                if (relu) d[i] = v_relu(d[i]);
                p[i] += s->step[i];
            }
            if (tile)
                transform_tile(span, d, o);
            else
                transform_patch(span, d, o);
        } else {
#pragma GCC unroll 6
            for (int i = 0; i < patch; i++) o[i] = (vec){0};
        }
#pragma GCC unroll 6
        for (int i = 0; i < patch; i++)
            if (IN_SET(set, i)) half[i][j] = o[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < patch; i++)
        if (IN_SET(set, i)) {
            vec o[MAX_PATCH];
            if (tile)
                transform_tile(span, half[i], o);
            else
                transform_patch(span, half[i], o);
#pragma GCC unroll 6
            for (int j = 0; j < patch; j++) v_store(out + (i * patch + j) * VL, o[j]);
        }
}

/* Where outputs go. The gradient of an input behind a ReLU passes only where the input is positive or NaN. */
typedef struct sink {
    const zs_view *y, *x; /* x: NULL without a ReLU */
    const real *bias; /* or NULL */
    bool add;
} sink;

INLINE void output_rows(unsigned set, int span, bool whole, bool masked, bool add, int n, const wino *w, tile_at t,
                        int k, const real *m, const sink *to) {
    const int patch = patch_of(span);
    vec half[MAX_SPAN][MAX_PATCH];
#pragma GCC unroll 6
    for (int j = 0; j < patch; j++) {
        vec d[MAX_PATCH], o[MAX_SPAN];
#pragma GCC unroll 6
        for (int i = 0; i < patch; i++) d[i] = v_load(m + (i * patch + j) * VL);
        transform_output(span, d, o);
#pragma GCC unroll 4
        for (int i = 0; i < span; i++)
            if (IN_SET(set, i)) half[i][j] = o[i];
    }
    const vec start = to->bias ? v_load_lanes(to->bias + k, n) : (vec){0};
#pragma GCC unroll 4
    for (int i = 0; i < span; i++)
        if (IN_SET(set, i) && (whole || t.h + i < w->H)) {
            vec o[MAX_SPAN];
            transform_output(span, half[i], o);
            real *p = at_mut(to->y, t.n, t.h + i, t.w) + k;
            const real *q = masked ? at(to->x, t.n, t.h + i, t.w) + k : NULL;
#pragma GCC unroll 4
            for (int j = 0; j < span; j++)
                if (whole || t.w + j < w->W) {
                    vec v = o[j] + start;
                    if (masked) v = v_select(v_load_lanes(q + j * to->x->sw, n) <= (vec){0}, (vec){0}, v);
                    if (add) v += v_load_lanes(p + j * to->y->sw, n);
                    v_store_lanes(p + j * to->y->sw, v, n);
                }
        }
}

/* One vector of channels of one tile. Out of line: inlined into loops, compilers keep an address for each element. */
#define OUT_OF_LINE static __attribute__((noinline)) void

#define SOURCE_VECTOR(name, span, tile, relu)                                                             \
    OUT_OF_LINE name(const source *s, int c, real *out) {                                                 \
        FOR_PATCH_ROWS(span, source_rows, tile, relu, VL, s, c, out);                                     \
    }
SOURCE_VECTOR(patch4, 4, false, false)
SOURCE_VECTOR(patch4_relu, 4, false, true)
SOURCE_VECTOR(tile4, 4, true, false)
SOURCE_VECTOR(tile4_relu, 4, true, true)
SOURCE_VECTOR(patch2, 2, false, false)
SOURCE_VECTOR(patch2_relu, 2, false, true)
SOURCE_VECTOR(tile2, 2, true, false)
SOURCE_VECTOR(tile2_relu, 2, true, true)
OUT_OF_LINE source_tail(int span, bool tile, bool relu, int n, const source *s, int c, real *out) {
    if (span == 4 && tile)
        FOR_PATCH_ROWS(4, source_rows, true, relu, n, s, c, out);
    else if (span == 4)
        FOR_PATCH_ROWS(4, source_rows, false, relu, n, s, c, out);
    else if (tile)
        FOR_PATCH_ROWS(2, source_rows, true, relu, n, s, c, out);
    else
        FOR_PATCH_ROWS(2, source_rows, false, relu, n, s, c, out);
}
#define OUTPUT_VECTOR(name, span, masked, add)                                           \
    OUT_OF_LINE name(const wino *w, tile_at t, int k, const real *m, const sink *to) { \
        FOR_OUTPUT_ROWS(span, output_rows, true, masked, add, VL, w, t, k, m, to);     \
    }
OUTPUT_VECTOR(output4, 4, false, false)
OUTPUT_VECTOR(output4_add, 4, false, true)
OUTPUT_VECTOR(output4_masked, 4, true, false)
OUTPUT_VECTOR(output4_masked_add, 4, true, true)
OUTPUT_VECTOR(output2, 2, false, false)
OUTPUT_VECTOR(output2_add, 2, false, true)
OUTPUT_VECTOR(output2_masked, 2, true, false)
OUTPUT_VECTOR(output2_masked_add, 2, true, true)
OUT_OF_LINE output_any(int span, int n, const wino *w, tile_at t, int k, const real *m, const sink *to) {
    if (span == 4)
        FOR_OUTPUT_ROWS(4, output_rows, false, to->x != NULL, to->add, n, w, t, k, m, to);
    else
        FOR_OUTPUT_ROWS(2, output_rows, false, to->x != NULL, to->add, n, w, t, k, m, to);
}
