/* Kernels on vectors, those that read gradients: each of each table against the reference table, then rates, of
   weights' copies in and out, too.

       vectors [check|quick|full] [table]

   Checked with NaN, infinities, ties, and tolerances and edges on values. GB/s counts each element read or written
   once, whatever the caches do. A histogram of 56 edges: 0.2 GB/s by binary search, 5 with comparisons to all edges
   between a block's extremes (AVX-512, Zen 4, gcc 12). */
#include "cases.h"

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
            for (int n = mode == BENCH_FULL ? 400 : 100; n > 0; n--) check_vectors(&k, (values)below(N_VALUES));
        }
    for (int i = 1; mode != BENCH_CHECK && i < zs_cpu_n_tables(); i++) {
        if (!bench_table(i, ZS_F32, only, &k)) continue;
        measure_weights(mode, &k, 64);
        if (mode == BENCH_FULL) measure_weights(mode, &k, 376); /* 1.3 million: the largest NAS-Bench-201 network */
    }
    return bench_end();
}
