/* What the ladders of memory-bound kernels share: tensors of one shape, checks against the reference in double, GB/s.

   A file lists its kernels as X(name, tensors, roundings, scale, call): tensors read and written (each element once,
   whatever the caches do), and the tolerance, `roundings` of numbers up to `scale`. A call sees `b`, its pass, reads
   b->v[0] to b->v[3] and b->half, and writes b->out or b->sums. Rungs: the reference table, each vectorised table. The
   limit is a triad over as many bytes as three tensors. */
#ifndef ZS_BENCH_PASS_H
#define ZS_BENCH_PASS_H

#include "bench.h"

typedef struct pass {
    zs_kernels k;
    zs_shape s;
    int N;
    double count; /* pixels of the block */
    size_t n, n_sums;
    zs_view v[4], out, half, one;
    void *coef;   /* 4 runs of C */
    double *sums; /* 2 C */
} pass;

typedef struct pass_op {
    const char *name;
    void (*run)(void *arg);
    double tensors, roundings, scale;
} pass_op;

#define PASS_FUNCTION(name, tensors, roundings, scale, call) \
    static void run_##name(void *arg) {                      \
        pass *b = arg;                                       \
        const zs_view *v = b->v;                             \
        (void)v;                                             \
        call;                                                \
    }
#define PASS_OP(name, tensors, roundings, scale, call) {#name, run_##name, tensors, roundings, scale},

/* Four inputs, an output, a quarter of the pixels, one pixel a sample; the same numbers in either dtype. */
static inline pass pass_make(const zs_kernels *k, zs_shape s, int N) {
    const zs_dtype t = k->dtype;
    pass b = {.k = *k, .s = s, .N = N, .count = (double)N * s.H * s.W, .n_sums = 2 * (size_t)s.C};
    b.n = (size_t)(N * s.H * s.W * s.C);
    const zs_view whole = {NULL, s.H * s.W * s.C, s.W * s.C, s.C};
    bench_state = 1;
    for (int i = 0; i < 6; i++) {
        float *values = bench_normal(ZS_F32, b.n);
        zs_view *v = i < 4 ? &b.v[i] : i == 4 ? &b.half : &b.one;
        *v = whole;
        v->p = bench_alloc(b.n * zs_dtype_size(t) + 1088); /* no two at the same place in a page */
        for (size_t j = 0; j < b.n; j++) set(t, v->p, j, (double)values[j]);
        zs_free_aligned(values);
    }
    b.half.sh = s.W / 2 * s.C, b.half.sn = s.H / 2 * b.half.sh;
    b.one.sn = b.one.sh = s.C;
    b.out = whole;
    b.out.p = bench_alloc(b.n * zs_dtype_size(t));
    float *coef = bench_normal(ZS_F32, 4 * (size_t)s.C);
    b.coef = bench_alloc(4 * (size_t)s.C * zs_dtype_size(t));
    for (size_t i = 0; i < 4 * (size_t)s.C; i++) set(t, b.coef, i, 0.5 * (double)coef[i]);
    zs_free_aligned(coef);
    b.sums = bench_alloc(b.n_sums * sizeof *b.sums);
    return b;
}

static inline void pass_free(pass *b) {
    void *all[] = {b->v[0].p, b->v[1].p, b->v[2].p, b->v[3].p, b->half.p, b->one.p, b->out.p, b->coef, b->sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zs_free_aligned(all[i]);
}

/* What a call left in out and sums, which start as zeros. */
static inline void pass_once(const pass_op *op, pass *b) {
    memset(b->out.p, 0, b->n * zs_dtype_size(b->k.dtype));
    memset(b->sums, 0, b->n_sums * sizeof *b->sums);
    op->run(b);
}

static inline void pass_ladder(bench_mode mode, const char *only, zs_shape s, int N, int n_ops, const pass_op *ops) {
    enum { MAX_TABLES = 8 };
    zs_kernels k;
    pass exact = pass_make(&zs_kernels_ref_f64, s, N), runs[MAX_TABLES];
    const char *names[MAX_TABLES];
    int n_runs = 0;
    for (int i = 0; i < zs_cpu_n_tables() && n_runs < MAX_TABLES; i++) {
        if (i > 0 && !bench_table(i, ZS_F32, only, &k)) continue;
        if (i == 0) k = zs_kernels_ref_f32;
        names[n_runs] = zs_cpu_table_name(i);
        runs[n_runs++] = pass_make(&k, s, N);
    }
    const double n_bytes = (double)runs[0].n * sizeof(float);
    const double limit = mode == BENCH_CHECK ? 0 : bench_bandwidth(3 * n_bytes);
    for (int i = 0; i < n_ops; i++) {
        bench_rung rungs[MAX_TABLES];
        pass_once(ops + i, &exact);
        for (int j = 0; j < n_runs; j++) {
            const double scale = ops[i].scale;
            rungs[j] = (bench_rung){names[j], ops[i].run, runs + j, .work = ops[i].tensors * n_bytes, .slow = j == 0};
            pass_once(ops + i, runs + j);
            bench_check(rungs + j, ZS_F32, exact.n, runs[j].out.p, exact.out.p, NULL, scale, ops[i].roundings);
            for (size_t c = 0; c < exact.n_sums; c++) /* doubles, of float sums */
                if (!is_close(runs[j].sums[c], exact.sums[c],
                              ops[i].roundings * eps_of(ZS_F32) * scale * exact.count)) {
                    printf("FAILED %s: sum %zu is %.9g, not %.9g\n", names[j], c, runs[j].sums[c], exact.sums[c]);
                    bench_failed++;
                    break;
                }
        }
        char title[120];
        snprintf(title, sizeof title, "%s C%d at %dx%d, N=%d", ops[i].name, s.C, s.H, s.W, N);
        bench_time(mode, n_runs, rungs);
        if (mode != BENCH_CHECK) bench_print(title, "GB/s", limit, n_runs, rungs);
    }
    pass_free(&exact);
    for (int j = 0; j < n_runs; j++) pass_free(&runs[j]);
}

static inline int pass_main(int argc, char **argv, int n_ops, const pass_op *ops) {
    static const zs_shape shapes[] = {{16, 32, 32}, {32, 16, 16}, {64, 8, 8}, {43, 16, 16}};
    const char *only;
    const bench_mode mode = bench_start(argc, argv, &only);
    for (int i = 0; i < 4; i++) pass_ladder(mode, only, shapes[i], 4, n_ops, ops);
    for (int i = 0; mode == BENCH_FULL && i < 4; i++) pass_ladder(mode, only, shapes[i], 64, n_ops, ops);
    return bench_end();
}

#endif
