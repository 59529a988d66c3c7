/* Everything but convolutions and losses: each kernel of each table against the reference table, then the rates of
   those that read gradients; norm.c and pool.c have the rates of the others.

       pointwise [check|quick|full] [table]

   Checked: values against the reference, over random shapes, strides, odd numbers of channels and offsets, with NaN,
   infinities and ties; bytes outside the views; and that channels, pixels and samples that hold equal numbers get equal
   bits, whichever vector or tail they fall into. Tolerances are roundings: each test says how many, in units of eps
   times the largest intermediate value.

   GB/s counts each element read or written once, whatever the caches do. A histogram of 56 edges: 0.2 GB/s by binary
   search, 5 with comparisons to all edges between a block's extremes (AVX-512, Zen 4, gcc 12). */
#include "bench.h"

enum { MAX_TERMS = 5 };

/* --- arrays of either dtype ------------------------------------------------------------------------------------- */

typedef struct array {
    void *p;
    size_t n;
} array;

static void *need(size_t n_bytes) { /* exact, so that a sanitizer sees every overrun */
    void *p = malloc(n_bytes ? n_bytes : 1);
    if (!p) exit(2);
    return p;
}
typedef enum values { NORMAL, TIES, SPECIAL, SHIFTED, N_VALUES } values;

static double draw(values kind) {
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

static tensor make_tensor(zs_dtype t, zs_shape s, int n, bool gaps, values kind) {
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

static tensor copy_tensor(zs_dtype t, const tensor *x) {
    tensor y = *x;
    const size_t n_bytes = x->buffer.n * zs_dtype_size(t);
    y.buffer.p = need(n_bytes);
    memcpy(y.buffer.p, x->buffer.p, n_bytes);
    y.v.p = (char *)y.buffer.p + ((const char *)x->v.p - (const char *)x->buffer.p);
    return y;
}

static size_t offset_of(const zs_view *v, int n, int h, int w, int c) {
    return (size_t)(n * v->sn + h * v->sh + w * v->sw + c);
}

/* --- comparisons ------------------------------------------------------------------------------------------------- */

static void fail(const char *what, const zs_kernels *k, const char *text) {
    if (bench_failed++ < 40) printf("FAILED %s, %s, %s: %s\n", what, k->name, k->dtype == ZS_F64 ? "f64" : "f32", text);
}

static void compare(const char *what, const zs_kernels *k, zs_dtype t, size_t n, const void *got, const void *wanted,
                    double tol) {
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
static void compare_tensor(const char *what, const zs_kernels *k, const tensor *got, const tensor *wanted,
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

static const zs_kernels *reference(zs_dtype t) { return t == ZS_F64 ? &zs_kernels_ref_f64 : &zs_kernels_ref_f32; }

static const int CHANNELS[] = {1, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 43, 48, 64, 80, 100, 131};

static sample_case draw_case(void) {
    sample_case c = {.N = 1 + below(4), .gaps = below(2), .add = below(2), .kind = (values)below(N_VALUES)};
    c.s = (zs_shape){CHANNELS[below(17)], 1 + below(12), 1 + below(12)};
    if (below(8) == 0) c.s.H = c.s.W = 1;
    if (below(8) == 0) c.s.H = c.s.W = 23; /* several chunks a plane */
    c.n0 = below(c.N);
    c.n1 = c.n0 + 1 + below(c.N - c.n0);
    return c;
}

static void *coefficients(zs_dtype t, int n_runs, int C,
                          double mean) { /* run 0 holds means, the rest lies in [-1, 1] */
    void *p = need((size_t)(n_runs * C) * zs_dtype_size(t));
    for (int i = 0; i < n_runs * C; i++) set(t, p, (size_t)i, i < C ? mean + uniform() : 2 * uniform() - 1);
    return p;
}

static double centre(values kind) { return kind == SHIFTED ? 100 : 0; }
static double largest(values kind) { return kind == SHIFTED ? 106 : 6; }

/* The reference's statistics are no better than ours in double, so: long double. */
static void exact_stats(zs_dtype t, zs_shape s, int n0, int n1, const zs_view *x, double *mean, double *m2) {
    const long double count = (long double)(n1 - n0) * s.H * s.W;
    for (int c = 0; c < s.C; c++) {
        long double sum = 0, squares = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int n = n0; n < n1; n++)
                for (int h = 0; h < s.H; h++)
                    for (int w = 0; w < s.W; w++) {
                        const long double v = (long double)get(t, x->p, offset_of(x, n, h, w, c));
                        if (pass == 0)
                            sum += v;
                        else
                            squares += (v - sum / count) * (v - sum / count);
                    }
        mean[c] = (double)(sum / count);
        m2[c] = (double)squares;
    }
}

/* Sums of d and d*d around a shift, 64 numbers in each of two chains, then a handful of double operations. The errors
   of so many roundings add up like a random walk; 16 is four times sqrt(64) / 2. */
static void compare_stats(const char *what, const zs_kernels *k, int C, double count, const double *mean,
                          const double *m2, const double *exact_mean, const double *exact_m2, double top) {
    const double eps = eps_of(k->dtype), least = 4 * eps * top; /* a shift's distance from equal values */
    for (int c = 0; c < C; c++) {
        if (!isfinite(exact_m2[c])) {
            bench_checked++;
            if (isfinite(m2[c])) fail(what, k, "hides a NaN or an infinity");
            continue;
        }
        const double std = sqrt(exact_m2[c] / count);
        compare(what, k, ZS_F64, 1, mean + c, exact_mean + c, 16 * eps * std + 0x1p-51 * fabs(exact_mean[c]));
        compare(what, k, ZS_F64, 1, m2 + c, exact_m2 + c, 16 * eps * exact_m2[c] + count * least * least);
    }
}

static void check_norm(const zs_kernels *k, const sample_case *c) {
    const zs_kernels *ref = reference(k->dtype);
    const zs_dtype t = k->dtype;
    const int C = c->s.C;
    const double eps = eps_of(t), top = largest(c->kind), count = (double)(c->n1 - c->n0) * c->s.H * c->s.W;
    const tensor x = make_tensor(t, c->s, c->N, c->gaps, c->kind), dy = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
    const tensor before = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
    tensor got = copy_tensor(t, &before), wanted = copy_tensor(t, &before);
    double *a = need(4 * (size_t)C * sizeof *a), *b = a + C, *p = b + C, *q = p + C;
    void *coef = coefficients(t, 4, C, centre(c->kind));

    k->bn_stats(c->s, c->n0, c->n1, &x.v, a, b);
    exact_stats(t, c->s, c->n0, c->n1, &x.v, p, q);
    compare_stats("bn_stats", k, C, count, a, b, p, q, top);

    k->bn_fwd(c->s, c->n0, c->n1, &x.v, coef, &got.v);
    ref->bn_fwd(c->s, c->n0, c->n1, &x.v, coef, &wanted.v);
    compare_tensor("bn_fwd", k, &got, &wanted, &before, 4 * eps * 8);

    k->bn_bwd_sums(c->s, c->n0, c->n1, &dy.v, &x.v, coef, a, b);
    ref->bn_bwd_sums(c->s, c->n0, c->n1, &dy.v, &x.v, coef, p, q);
    compare("bn_bwd_sums s1", k, ZS_F64, (size_t)C, a, p, 66 * eps * count);
    compare("bn_bwd_sums s2", k, ZS_F64, (size_t)C, b, q, 66 * eps * 2 * count);

    for (int in_place = 0; in_place < 2; in_place++) {
        tensor y = copy_tensor(t, in_place ? &x : &before), z = copy_tensor(t, in_place ? &x : &before);
        k->bn_bwd_x(c->s, c->n0, c->n1, &dy.v, in_place ? &y.v : &x.v, coef, &y.v, c->add);
        ref->bn_bwd_x(c->s, c->n0, c->n1, &dy.v, in_place ? &z.v : &x.v, coef, &z.v, c->add);
        compare_tensor(in_place ? "bn_bwd_x in place" : "bn_bwd_x", k, &y, &z, in_place ? &x : &before,
                       6 * eps * 12 + 2 * eps * top * in_place);
        free(y.buffer.p), free(z.buffer.p);
    }

    k->relu_fwd(c->s, c->n0, c->n1, &x.v, &got.v);
    ref->relu_fwd(c->s, c->n0, c->n1, &x.v, &wanted.v);
    compare_tensor("relu_fwd", k, &got, &wanted, &before, 0);
    k->relu_bwd(c->s, c->n0, c->n1, &x.v, &dy.v, &got.v, c->add);
    ref->relu_bwd(c->s, c->n0, c->n1, &x.v, &dy.v, &wanted.v, c->add);
    compare_tensor("relu_bwd", k, &got, &wanted, &before, 2 * eps * (top + 6));
    free(x.buffer.p), free(dy.buffer.p), free(before.buffer.p), free(got.buffer.p), free(wanted.buffer.p);
    free(a), free(coef);
}

static zs_pool draw_pool(bool average) {
    static const zs_window usual[] = {{3, 3, 1, 1, 1, 1, 1, 1},
                                      {3, 3, 2, 2, 1, 1, 1, 1},
                                      {2, 2, 2, 2, 0, 0, 1, 1},
                                      {3, 3, 1, 1, 0, 0, 1, 1},
                                      {3, 3, 1, 1, 1, 1, 2, 2}};
    zs_pool d;
    do {
        d = (zs_pool){.C = CHANNELS[below(17)], .H = 1 + below(12), .W = 1 + below(12), .count_include_pad = below(2)};
        d.win = usual[below(5)];
        if (below(2))
            d.win =
                (zs_window){1 + below(5), 1 + below(5), 1 + below(4), 1 + below(4), 0, 0, 1 + below(3), 1 + below(3)};
        if (below(2)) d.win.pad_h = below(d.win.R / 2 + 1), d.win.pad_w = below(d.win.S / 2 + 1);
        if (average) d.win.dil_h = d.win.dil_w = 1;
        d.P = d.H + 2 * d.win.pad_h - (d.win.R - 1) * d.win.dil_h - 1;
        d.Q = d.W + 2 * d.win.pad_w - (d.win.S - 1) * d.win.dil_w - 1;
    } while (d.P < 0 || d.Q < 0);
    d.P = d.P / d.win.stride_h + 1;
    d.Q = d.Q / d.win.stride_w + 1;
    return d;
}

static void check_pool(const zs_kernels *k, const sample_case *c) {
    const zs_kernels *ref = reference(k->dtype);
    const zs_dtype t = k->dtype;
    for (int average = 0; average < 2; average++) {
        const zs_pool d = draw_pool(average);
        const zs_shape in = {d.C, d.H, d.W}, out = {d.C, d.P, d.Q};
        const tensor x = make_tensor(t, in, c->N, c->gaps, c->kind), dy = make_tensor(t, out, c->N, c->gaps, NORMAL);
        const tensor y0 = make_tensor(t, out, c->N, c->gaps, NORMAL), dx0 = make_tensor(t, in, c->N, c->gaps, NORMAL);
        tensor y = copy_tensor(t, &y0), z = copy_tensor(t, &y0), dx = copy_tensor(t, &dx0), dz = copy_tensor(t, &dx0);
        const double tol = eps_of(t) * (d.win.R * d.win.S + 2) * 6;
        if (average) {
            k->avg_pool_fwd(&d, c->n0, c->n1, &x.v, &y.v);
            ref->avg_pool_fwd(&d, c->n0, c->n1, &x.v, &z.v);
            compare_tensor("avg_pool_fwd", k, &y, &z, &y0, eps_of(t) * (d.win.R * d.win.S + 2) * largest(c->kind));
            k->avg_pool_bwd(&d, c->n0, c->n1, &dy.v, &dx.v, c->add);
            ref->avg_pool_bwd(&d, c->n0, c->n1, &dy.v, &dz.v, c->add);
            compare_tensor("avg_pool_bwd", k, &dx, &dz, &dx0, 2 * tol);
        } else {
            k->max_pool_fwd(&d, c->n0, c->n1, &x.v, &y.v);
            ref->max_pool_fwd(&d, c->n0, c->n1, &x.v, &z.v);
            compare_tensor("max_pool_fwd", k, &y, &z, &y0, 0);
            k->max_pool_bwd(&d, c->n0, c->n1, &x.v, &dy.v, &dx.v, c->add);
            ref->max_pool_bwd(&d, c->n0, c->n1, &x.v, &dy.v, &dz.v, c->add);
            compare_tensor("max_pool_bwd", k, &dx, &dz, &dx0, 0); /* the same additions in the same order */
        }
        free(x.buffer.p), free(dy.buffer.p), free(y0.buffer.p), free(dx0.buffer.p);
        free(y.buffer.p), free(z.buffer.p), free(dx.buffer.p), free(dz.buffer.p);
    }
}

static void check_sums(const zs_kernels *k, const sample_case *c) {
    const zs_kernels *ref = reference(k->dtype);
    const zs_dtype t = k->dtype;
    const double eps = eps_of(t), top = largest(c->kind);
    const tensor before = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
    tensor got = copy_tensor(t, &before), wanted = copy_tensor(t, &before);

    tensor x[MAX_TERMS];
    zs_term terms[MAX_TERMS];
    void *bn[MAX_TERMS];
    const int n_terms = 1 + below(MAX_TERMS), group = 1 + below(3), n_groups = (c->N + group - 1) / group;
    for (int i = 0; i < n_terms; i++) {
        x[i] = make_tensor(t, c->s, c->N, c->gaps, c->kind);
        bn[i] = need((size_t)(n_groups * 3 * c->s.C) * zs_dtype_size(t));
        for (int g = 0; g < n_groups; g++) {
            void *run = coefficients(t, 3, c->s.C, centre(c->kind));
            memcpy((char *)bn[i] + (size_t)(g * 3 * c->s.C) * zs_dtype_size(t), run,
                   (size_t)(3 * c->s.C) * zs_dtype_size(t));
            free(run);
        }
        terms[i] = (zs_term){.x = x[i].v, .coef = below(2) ? 1.0 : 2 * uniform() - 1, .bn = below(2) ? bn[i] : NULL};
    }
    k->sum_fwd(c->s, c->n0, c->n1, group, n_terms, terms, &got.v);
    ref->sum_fwd(c->s, c->n0, c->n1, group, n_terms, terms, &wanted.v);
    compare_tensor("sum_fwd", k, &got, &wanted, &before, (n_terms + 4) * eps * top * n_terms);

    const double coef = below(3) == 0 ? 0.0 : 2 * uniform() - 1;
    k->scale(c->s, c->n0, c->n1, &x[0].v, coef, &got.v, c->add);
    ref->scale(c->s, c->n0, c->n1, &x[0].v, coef, &wanted.v, c->add);
    compare_tensor("scale", k, &got, &wanted, &before, (n_terms + 8) * eps * top * (n_terms + 1));
    k->fill_zero(c->s, c->n0, c->n1, &got.v);
    ref->fill_zero(c->s, c->n0, c->n1, &wanted.v);
    compare_tensor("fill_zero", k, &got, &wanted, &before, 0);

    const zs_shape one = {c->s.C, 1, 1};
    const tensor y0 = make_tensor(t, one, c->N, c->gaps, NORMAL);
    tensor y = copy_tensor(t, &y0), z = copy_tensor(t, &y0);
    k->gap_fwd(c->s, c->n0, c->n1, &x[0].v, &y.v);
    ref->gap_fwd(c->s, c->n0, c->n1, &x[0].v, &z.v);
    compare_tensor("gap_fwd", k, &y, &z, &y0, 66 * eps * top);
    tensor dx = copy_tensor(t, &before), dz = copy_tensor(t, &before);
    k->gap_bwd(c->s, c->n0, c->n1, &y0.v, &dx.v, c->add);
    ref->gap_bwd(c->s, c->n0, c->n1, &y0.v, &dz.v, c->add);
    compare_tensor("gap_bwd", k, &dx, &dz, &before, 4 * eps * 12);

    for (int i = 0; i < n_terms; i++) free(x[i].buffer.p), free(bn[i]);
    free(before.buffer.p), free(got.buffer.p), free(wanted.buffer.p), free(y0.buffer.p), free(y.buffer.p);
    free(z.buffer.p), free(dx.buffer.p), free(dz.buffer.p);
}

static void check_vectors(const zs_kernels *k, values kind) {
    const zs_kernels *ref = reference(k->dtype);
    const zs_dtype t = k->dtype;
    const size_t size = zs_dtype_size(t), n = (size_t)(1 + below(below(3) ? 70 : 3000));
    void *g = need(n * size), *a = need(n * size), *b = need(n * size);
    for (size_t i = 0; i < n; i++) set(t, g, i, draw(kind) * pow(10, -below(9)));

    const int n_parts = 1 + below(5);
    const size_t stride = n + (size_t)below(20), all = stride * (size_t)(n_parts - 1) + n;
    for (int in_place = 0; in_place < 2; in_place++) {
        void *parts = need(all * size), *other = need(all * size);
        for (size_t i = 0; i < all; i++) set(t, parts, i, draw(kind));
        memcpy(other, parts, all * size);
        k->join(n, n_parts, stride, parts, in_place ? parts : a);
        ref->join(n, n_parts, stride, other, in_place ? other : b);
        compare("join", k, t, n, in_place ? parts : a, in_place ? other : b, 0); /* double sums in the same order */
        free(parts), free(other);
    }

    double *m = need(6 * n * sizeof *m), *r = m + 3 * n;
    for (size_t i = 0; i < 3 * n; i++) m[i] = r[i] = fabs(normal());
    const bool with_sum = below(2);
    const int64_t count = below(5);
    k->moments(n, g, count, m, m + n, with_sum ? m + 2 * n : NULL);
    ref->moments(n, g, count, r, r + n, with_sum ? r + 2 * n : NULL);
    const double top = largest(kind) + 6;
    compare("moments mean", k, ZS_F64, n, m, r, 8 * 0x1p-53 * top);
    compare("moments m2", k, ZS_F64, n, m + n, r + n, 8 * 0x1p-53 * top * top);
    compare("moments sum", k, ZS_F64, n, m + 2 * n, r + 2 * n, 0);
    free(m);

    int32_t *s = need(2 * n * sizeof *s);
    for (size_t i = 0; i < n; i++) s[i] = s[n + i] = below(100) - 50;
    /* tolerances on, between and beyond floats */
    const double tols[] = {0, 0.1, fabs(get(t, g, 0)), nextafter(fabs(get(t, g, 0)), 0), 1e-300, 1e300, INFINITY};
    const double tol = tols[below(7)];
    k->signs(n, g, tol, s);
    ref->signs(n, g, tol, s + n);
    bench_checked++;
    if (memcmp(s, s + n, n * sizeof *s) != 0) fail("signs", k, "differ from the reference");
    free(s);

    double edges[150];
    int64_t counts[300] = {0};
    const int n_edges = 2 + below(below(4) ? 60 : 149);
    const double lowest = -12 + 11 * uniform(), step = 12.0 / n_edges;
    for (int e = 0; e < n_edges; e++) edges[e] = below(5) ? pow(10, lowest + step * e) : 0; /* some on values */
    for (int e = 0; e < n_edges; e++)
        if (edges[e] == 0) edges[e] = fabs(get(t, g, (size_t)below((int)n)));
    edges[0] = below(2) ? 0 : -1;
    if (below(2)) edges[n_edges - 1] = INFINITY;
    for (int i = 1; i < n_edges; i++) /* insertion sort; NaN counts as 1 */
        for (int e = i; e > 0; e--) {
            if (isnan(edges[e])) edges[e] = 1;
            if (edges[e] >= edges[e - 1]) break;
            const double swap = edges[e];
            edges[e] = edges[e - 1];
            edges[e - 1] = swap;
        }
    if (isnan(edges[0])) edges[0] = 0;
    k->histogram(n, g, n_edges, edges, counts);
    ref->histogram(n, g, n_edges, edges, counts + 150);
    bench_checked++;
    if (memcmp(counts, counts + 150, 150 * sizeof *counts) != 0) fail("histogram", k, "differs from the reference");

    bench_checked += 2;
    if (k->count_nonfinite(n, g) != ref->count_nonfinite(n, g)) fail("count_nonfinite", k, "differs");
    if (k->count_nonzero(n, g) != ref->count_nonzero(n, g)) fail("count_nonzero", k, "differs");
    free(g), free(a), free(b);
}

static void check_transposes(const zs_kernels *k, const sample_case *c) {
    const zs_kernels *ref = reference(k->dtype);
    const zs_dtype t = k->dtype, from = below(2) ? ZS_F64 : ZS_F32;
    const size_t n = (size_t)c->N * (size_t)c->s.C * (size_t)c->s.H * (size_t)c->s.W;
    void *x = need(n * zs_dtype_size(from));
    for (size_t i = 0; i < n; i++) set(from, x, i, normal());
    const tensor before = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
    tensor got = copy_tensor(t, &before), wanted = copy_tensor(t, &before);
    k->load_images(c->s, c->N, from, x, &got.v);
    ref->load_images(c->s, c->N, from, x, &wanted.v);
    compare_tensor("load_images", k, &got, &wanted, &before, 0);
    free(x), free(before.buffer.p), free(got.buffer.p), free(wanted.buffer.p);

    zs_tensor w = {.O = 1 + below(70), .I = 1 + below(20), .R = 1 + below(5), .S = 1 + below(5)};
    w.size = (size_t)(w.O * w.I * w.R * w.S);
    void *in = need(w.size * zs_dtype_size(from)), *a = need(w.size * zs_dtype_size(t)),
         *b = need(w.size * zs_dtype_size(t));
    double *p = need(w.size * sizeof *p), *q = need(w.size * sizeof *q);
    for (size_t i = 0; i < w.size; i++) set(from, in, i, normal());
    k->load_weight(&w, from, in, a);
    ref->load_weight(&w, from, in, b);
    compare("load_weight", k, t, w.size, a, b, 0);
    k->store_weight(&w, a, p);
    ref->store_weight(&w, b, q);
    compare("store_weight", k, ZS_F64, w.size, p, q, 0);
    free(in), free(a), free(b), free(p), free(q);
}

/* --- equal numbers, equal bits ----------------------------------------------------------------------------------- */

/* Fills each channel with the same numbers; with `flat` each pixel and sample too. */
static void make_equal(zs_dtype t, tensor *x, bool flat) {
    const double v = normal();
    for (int n = 0; n < x->n; n++)
        for (int h = 0; h < x->s.H; h++)
            for (int w = 0; w < x->s.W; w++) {
                const double u = flat ? v : normal();
                for (int c = 0; c < x->s.C; c++) set(t, x->v.p, offset_of(&x->v, n, h, w, c), u);
            }
}

static void expect_equal_channels(const char *what, const zs_kernels *k, const tensor *x, int n0, int n1, bool flat) {
    const size_t size = zs_dtype_size(k->dtype);
    const char *p = x->v.p;
    bench_checked++;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < x->s.H; h++)
            for (int w = 0; w < x->s.W; w++)
                for (int c = 0; c < x->s.C; c++) {
                    const size_t like = flat ? offset_of(&x->v, n0, 0, 0, 0) : offset_of(&x->v, n, h, w, 0);
                    if (memcmp(p + offset_of(&x->v, n, h, w, c) * size, p + like * size, size) == 0) continue;
                    fail(what, k, "equal inputs, different bits");
                    return;
                }
}

static void expect_equal(const char *what, const zs_kernels *k, int n, const double *x) {
    bench_checked++;
    for (int i = 1; i < n; i++)
        if (memcmp(x + i, x, sizeof *x) != 0) {
            fail(what, k, "equal channels, different bits");
            return;
        }
}

static void check_equal_bits(const zs_kernels *k, const sample_case *c) {
    const zs_dtype t = k->dtype;
    const int C = c->s.C;
    for (int flat = 0; flat < 2; flat++) {
        tensor x = make_tensor(t, c->s, c->N, c->gaps, NORMAL), dy = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
        tensor y = make_tensor(t, c->s, c->N, c->gaps, NORMAL);
        make_equal(t, &x, flat);
        make_equal(t, &dy, flat);
        void *coef = need((size_t)(4 * C) * zs_dtype_size(t));
        for (int i = 0; i < 4; i++) {
            const double v = normal();
            for (int j = 0; j < C; j++) set(t, coef, (size_t)(i * C + j), v);
        }
        double *a = need(2 * (size_t)C * sizeof *a), *b = a + C;
        k->bn_stats(c->s, c->n0, c->n1, &x.v, a, b);
        expect_equal("bn_stats mean", k, C, a);
        expect_equal("bn_stats m2", k, C, b);
        k->bn_bwd_sums(c->s, c->n0, c->n1, &dy.v, &x.v, coef, a, b);
        expect_equal("bn_bwd_sums s1", k, C, a);
        expect_equal("bn_bwd_sums s2", k, C, b);
        k->bn_fwd(c->s, c->n0, c->n1, &x.v, coef, &y.v);
        expect_equal_channels("bn_fwd", k, &y, c->n0, c->n1, flat);
        k->bn_bwd_x(c->s, c->n0, c->n1, &dy.v, &x.v, coef, &y.v, false);
        expect_equal_channels("bn_bwd_x", k, &y, c->n0, c->n1, flat);
        k->bn_bwd_x(c->s, c->n0, c->n1, &dy.v, &x.v, coef, &y.v, true);
        expect_equal_channels("bn_bwd_x add", k, &y, c->n0, c->n1, flat);
        const zs_term terms[] = {{x.v, 0.3, coef}, {dy.v, 1, NULL}, {x.v, 0.7, NULL}, {dy.v, 1, coef}};
        k->sum_fwd(c->s, c->n0, c->n1, c->N, 4, terms, &y.v);
        expect_equal_channels("sum_fwd", k, &y, c->n0, c->n1, flat);
        k->scale(c->s, c->n0, c->n1, &x.v, 0.1, &y.v, true);
        expect_equal_channels("scale", k, &y, c->n0, c->n1, flat);
        const zs_pool d = {.C = C, .H = c->s.H, .W = c->s.W, .P = c->s.H, .Q = c->s.W, .win = {3, 3, 1, 1, 1, 1, 1, 1}};
        k->avg_pool_fwd(&d, c->n0, c->n1, &x.v, &y.v);
        expect_equal_channels("avg_pool_fwd", k, &y, c->n0, c->n1, false);
        k->avg_pool_bwd(&d, c->n0, c->n1, &x.v, &y.v, true);
        expect_equal_channels("avg_pool_bwd", k, &y, c->n0, c->n1, false);
        tensor mean = make_tensor(t, (zs_shape){C, 1, 1}, c->N, c->gaps, NORMAL);
        k->gap_fwd(c->s, c->n0, c->n1, &x.v, &mean.v);
        expect_equal_channels("gap_fwd", k, &mean, c->n0, c->n1, flat);

        /* strides change no bit of a sum */
        tensor dense = make_tensor(t, c->s, c->N, false, NORMAL);
        k->scale(c->s, 0, c->N, &x.v, 1, &dense.v, false);
        double *other = need(2 * (size_t)C * sizeof *other);
        k->bn_stats(c->s, c->n0, c->n1, &x.v, a, b);
        k->bn_stats(c->s, c->n0, c->n1, &dense.v, other, other + C);
        bench_checked++;
        if (memcmp(a, other, 2 * (size_t)C * sizeof *a) != 0) fail("bn_stats", k, "strides change bits");
        free(other), free(dense.buffer.p), free(x.buffer.p), free(dy.buffer.p), free(y.buffer.p), free(mean.buffer.p);
        free(coef), free(a);
    }
}

static void check(const zs_kernels *k, int n_cases) {
    for (int i = 0; i < n_cases; i++) {
        const sample_case c = draw_case();
        check_norm(k, &c);
        check_pool(k, &c);
        check_sums(k, &c);
        check_vectors(k, (values)below(N_VALUES));
        check_transposes(k, &c);
        if (i % 4 == 0) check_equal_bits(k, &c);
    }
}

/* Float statistics of a channel whose deviations are small beside its mean, or whose mean drifts. */
static void check_accuracy(const zs_kernels *k) {
    const zs_shape s = {16, 32, 32};
    const int n = 4;
    for (int drift = 0; drift < 2; drift++)
        for (double mean = 0; mean < 2e4; mean = mean * 10 + 1) {
            tensor x = make_tensor(k->dtype, s, n, false, NORMAL);
            for (size_t i = 0; i < x.buffer.n; i++)
                set(k->dtype, x.buffer.p, i, mean + normal() + drift * 20.0 * (double)i / (double)x.buffer.n);
            double a[16], b[16], p[16], q[16];
            k->bn_stats(s, 0, n, &x.v, a, b);
            exact_stats(k->dtype, s, 0, n, &x.v, p, q);
            compare_stats("bn_stats accuracy", k, s.C, 1024 * n, a, b, p, q, mean + 26);
            free(x.buffer.p);
        }
}

/* --- rates ------------------------------------------------------------------------------------------------------- */

typedef struct job {
    const zs_kernels *k;
    size_t n_weights;
    void *g;
    double *state;
    int32_t *sign;
    double edges[2][56];
    int64_t counts[56];
    zs_tensor weight;
} job;

/* Bytes of one weight are g + state. */
#define BENCH_WEIGHTS(X)                                                                                    \
    X(join_4, (1.25 * size), b->k->join(b->n_weights / 4, 4, b->n_weights / 4, b->g, b->g))                 \
    X(moments, (size + 32), b->k->moments(b->n_weights, b->g, 3, b->state, b->state + b->n_weights, NULL))  \
    X(moments_sum, (size + 48),                                                                             \
      b->k->moments(b->n_weights, b->g, 3, b->state, b->state + b->n_weights, b->state + 2 * b->n_weights)) \
    X(signs, (size + 8), b->k->signs(b->n_weights, b->g, 1e-9, b->sign))                                    \
    X(histogram_22, size, b->k->histogram(b->n_weights, b->g, 22, b->edges[0], b->counts))                  \
    X(histogram_56, size, b->k->histogram(b->n_weights, b->g, 56, b->edges[1], b->counts))                  \
    X(count_nonfinite, size, b->k->count_nonfinite(b->n_weights, b->g))                                     \
    X(count_nonzero, size, b->k->count_nonzero(b->n_weights, b->g))                                         \
    X(load_weight, (2 * size), b->k->load_weight(&b->weight, b->k->dtype, b->g, b->state))                  \
    X(store_weight, (size + 8), b->k->store_weight(&b->weight, b->g, b->state))
#define BENCH_WEIGHT_FUNCTION(name, n_bytes, call) \
    static void run_##name(void *arg) {            \
        job *b = arg;                              \
        call;                                      \
    }
BENCH_WEIGHTS(BENCH_WEIGHT_FUNCTION)

static void measure_weights(bench_mode mode, const zs_kernels *k, int C) {
    const zs_dtype t = k->dtype;
    const double size = (double)zs_dtype_size(t);
    job b = {.k = k, .n_weights = (size_t)(9 * C * C)};
    b.weight = (zs_tensor){.O = C, .I = C, .R = 3, .S = 3, .size = b.n_weights};
    b.g = bench_alloc(b.n_weights * zs_dtype_size(t));
    b.state = bench_alloc(3 * b.n_weights * sizeof *b.state);
    b.sign = bench_alloc(b.n_weights * sizeof *b.sign);
    for (size_t i = 0; i < b.n_weights; i++) set(t, b.g, i, 1e-3 * normal());
    for (int e = 1; e < 22; e++) b.edges[0][e] = pow(10, e - 20);
    for (int e = 0; e < 56; e++) b.edges[1][e] = pow(10, -11 + 0.2 * e);
    job slow = b;
    slow.k = reference(t);
    char title[80];
    snprintf(title, sizeof title, "%s %s, %zu weights", k->name, t == ZS_F64 ? "f64" : "f32", b.n_weights);
#define BENCH_WEIGHT_RUNGS(name, n_bytes, call)                                                     \
    {"reference " #name, run_##name, &slow, .work = (n_bytes) * (double)b.n_weights, .slow = true}, \
        {#name, run_##name, &b, .work = (n_bytes) * (double)b.n_weights},
    bench_rung rungs[] = {BENCH_WEIGHTS(BENCH_WEIGHT_RUNGS)};
    const int n_rungs = (int)(sizeof rungs / sizeof *rungs);
    bench_time(mode, n_rungs, rungs);
    bench_print(title, "GB/s", bench_bandwidth((size + 32) * (double)b.n_weights), n_rungs, rungs);
    zs_free_aligned(b.g), zs_free_aligned(b.state), zs_free_aligned(b.sign);
}

int main(int argc, char **argv) {
    const char *only;
    const bench_mode mode = bench_start(argc, argv, &only);
    zs_kernels k;
    for (int i = 1; i < zs_cpu_n_tables(); i++)
        for (int t = ZS_F32; t <= ZS_F64; t++) {
            if (!bench_table(i, (zs_dtype)t, only, &k)) continue;
            bench_state = 1;
            check(&k, mode == BENCH_FULL ? 400 : 100);
            check_accuracy(&k);
        }
    for (int i = 1; mode != BENCH_CHECK && i < zs_cpu_n_tables(); i++) {
        if (!bench_table(i, ZS_F32, only, &k)) continue;
        measure_weights(mode, &k, 64);
        if (mode == BENCH_FULL) measure_weights(mode, &k, 376); /* 1.3 million: the largest NAS-Bench-201 network */
    }
    return bench_end();
}
