/* What checks of kernels on tensors and vectors share: random tensors inside larger buffers, values with NaN,
   infinities and ties, comparisons with the reference table. */
#ifndef ZS_BENCH_CASES_H
#define ZS_BENCH_CASES_H

#include "bench.h"

/* --- arrays of either dtype ------------------------------------------------------------------------------------- */

typedef struct array {
    void *p;
    size_t n;
} array;

static inline void *need(size_t n_bytes) { /* exact, so that a sanitizer sees every overrun */
    void *p = malloc(n_bytes ? n_bytes : 1);
    if (!p) exit(2);
    return p;
}

typedef enum values { NORMAL, TIES, SPECIAL, SHIFTED, N_VALUES } values;

static inline double draw(values kind) {
    const double v = normal();
    if (kind == TIES) return floor(2 * v) / 2;
    if (kind == SPECIAL && below(40) == 0) return (double[]){NAN, INFINITY, -INFINITY, -0.0}[below(4)];
    if (kind == SHIFTED) return 100 + v;
    return v;
}

/* A tensor inside a larger buffer: gaps between pixels, rows, samples, and before the first, in both copies. */
typedef struct tensor {
    zs_shape s;
    int n;
    array buffer;
    zs_view v;
} tensor;

static inline tensor make_tensor(zs_dtype t, zs_shape s, int n, bool gaps, values kind) {
    const bool pixel = gaps && below(2), row = gaps && below(2), sample = gaps && below(2);
    tensor x = {.s = s, .n = n};
    x.v.sw = s.C + (pixel ? 1 + below(9) : 0);
    x.v.sh = x.v.sw * s.W + (row ? 1 + below(20) : 0);
    x.v.sn = x.v.sh * s.H + (sample ? 1 + below(30) : 0);
    const size_t offset = gaps ? (size_t)below(7) : 0;
    const size_t last = (size_t)((n - 1) * x.v.sn + (s.H - 1) * x.v.sh + (s.W - 1) * x.v.sw + s.C);
    x.buffer = (array){need((offset + last) * zs_dtype_size(t)), offset + last};
    for (size_t i = 0; i < x.buffer.n; i++) set(t, x.buffer.p, i, draw(kind));
    x.v.p = (char *)x.buffer.p + offset * zs_dtype_size(t);
    return x;
}

static inline tensor copy_tensor(zs_dtype t, const tensor *x) {
    tensor y = *x;
    const size_t n_bytes = x->buffer.n * zs_dtype_size(t);
    y.buffer.p = need(n_bytes);
    memcpy(y.buffer.p, x->buffer.p, n_bytes);
    y.v.p = (char *)y.buffer.p + ((const char *)x->v.p - (const char *)x->buffer.p);
    return y;
}

static inline size_t offset_of(const zs_view *v, int n, int h, int w, int c) {
    return (size_t)(n * v->sn + h * v->sh + w * v->sw + c);
}

/* --- comparisons ------------------------------------------------------------------------------------------------- */

static inline void fail(const char *what, const zs_kernels *k, const char *text) {
    if (bench_failed++ < 40) printf("FAILED %s, %s, %s: %s\n", what, k->name, k->dtype == ZS_F64 ? "f64" : "f32", text);
}

static inline void compare(const char *what, const zs_kernels *k, zs_dtype t, size_t n, const void *got,
                           const void *wanted, double tol) {
    bench_checked++;
    for (size_t i = 0; i < n; i++) {
        const double a = get(t, got, i), b = get(t, wanted, i);
        if (is_close(a, b, tol)) continue;
        char text[160];
        snprintf(text, sizeof text, "element %zu is %.17g, reference %.17g, tolerance %.3g", i, a, b, tol);
        fail(what, k, text);
        return;
    }
}

/* Equal bits outside of the view, close values inside. */
static inline void compare_tensor(const char *what, const zs_kernels *k, const tensor *got, const tensor *wanted,
                                  const tensor *before, double tol) {
    const zs_dtype t = k->dtype;
    const size_t size = zs_dtype_size(t);
    char *inside = need(got->buffer.n);
    memset(inside, 0, got->buffer.n);
    const size_t base = (size_t)((const char *)got->v.p - (const char *)got->buffer.p) / size;
    for (int n = 0; n < got->n; n++)
        for (int h = 0; h < got->s.H; h++)
            for (int w = 0; w < got->s.W; w++)
                memset(inside + base + offset_of(&got->v, n, h, w, 0), 1, (size_t)got->s.C);
    for (size_t i = 0; i < got->buffer.n; i++)
        if (!inside[i] && memcmp((char *)got->buffer.p + i * size, (char *)before->buffer.p + i * size, size) != 0) {
            fail(what, k, "wrote outside of its view");
            break;
        }
    free(inside);
    compare(what, k, t, got->buffer.n, got->buffer.p, wanted->buffer.p, tol);
}

/* --- one random case --------------------------------------------------------------------------------------------- */

typedef struct sample_case {
    zs_shape s;
    int N, n0, n1;
    bool gaps, add;
    values kind;
} sample_case;

static inline const zs_kernels *reference(zs_dtype t) {
    return t == ZS_F64 ? &zs_kernels_ref_f64 : &zs_kernels_ref_f32;
}

static const int CHANNELS[] = {1, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 43, 48, 64, 80, 100, 131};

static inline sample_case draw_case(void) {
    sample_case c = {.N = 1 + below(4), .gaps = below(2), .add = below(2), .kind = (values)below(N_VALUES)};
    c.s = (zs_shape){CHANNELS[below(17)], 1 + below(12), 1 + below(12)};
    if (below(8) == 0) c.s.H = c.s.W = 1;
    if (below(8) == 0) c.s.H = c.s.W = 23; /* several chunks a plane */
    c.n0 = below(c.N);
    c.n1 = c.n0 + 1 + below(c.N - c.n0);
    return c;
}

/* Run 0 holds means, the rest lies in [-1, 1]. */
static inline void *coefficients(zs_dtype t, int n_runs, int C, double mean) {
    void *p = need((size_t)(n_runs * C) * zs_dtype_size(t));
    for (int i = 0; i < n_runs * C; i++) set(t, p, (size_t)i, i < C ? mean + uniform() : 2 * uniform() - 1);
    return p;
}

static inline double centre(values kind) { return kind == SHIFTED ? 100 : 0; }
static inline double largest(values kind) { return kind == SHIFTED ? 106 : 6; }

#endif
