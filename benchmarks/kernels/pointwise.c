/* Kernels on tensors but convolutions: each of each table against the reference table. norm.c and pool.c have rates.

       pointwise [check|quick|full] [table]

   Checked: values against the reference, over random shapes, strides, odd numbers of channels and offsets, with NaN,
   infinities and ties; bytes outside the views; and that channels, pixels and samples that hold equal numbers get equal
   bits, whichever vector or tail they fall into. Tolerances are roundings: each test says how many, in units of eps
   times the largest intermediate value. */
#include "cases.h"

enum { MAX_TERMS = 5 };

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
    return bench_end();
}
