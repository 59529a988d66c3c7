/* What the ladders of this folder share: random numbers, buffers, a check against a reference, times, a table.

   A ladder is a main that lists its rungs, variants that compute the same, checks each, and prints their rates:

       const bench_mode mode = bench_start(argc, argv, &only);  NAME [check|quick|full] [table]
       bench_rung rungs[] = {{"plain C", run_plain, &job, .work = flops}, ...};
       for each: run it once, bench_check(rungs + i, dtype, n, got, wanted, bound, scale, roundings);
       bench_time(mode, n_rungs, rungs);
       bench_print(title, "GF/s", peak, n_rungs, rungs);
       ...
       return bench_end();                                      1 if a check failed

   Built from the objects of csrc/cpu and csrc/core/arena.c, or by including a kernel file:
       cc -std=gnu11 -O3 -Icsrc benchmarks/kernels/NAME.c OBJECTS -lm

   Times are the thread's own, so that a busy neighbour costs caches and clock rate, but no time slices. Rungs take
   turns; a rate is that of the median, with the best of all beside it, since a neighbour may share the core itself. */
#ifndef ZS_BENCH_H
#define ZS_BENCH_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "cpu/dispatch.h"

typedef enum bench_mode {
    BENCH_CHECK, /* no times */
    BENCH_QUICK, /* a few milliseconds a rung, no slow references */
    BENCH_FULL,
} bench_mode;

/* --- random numbers ----------------------------------------------------------------------------------------------- */

static uint64_t bench_state = 1;

static inline uint64_t random_bits(void) { /* splitmix64 */
    uint64_t z = bench_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline int below(int n) { return (int)(random_bits() % (uint64_t)n); }
static inline double uniform(void) { return (double)(random_bits() >> 11) * 0x1p-53; }
static inline double normal(void) {
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum - 6;
}

/* --- numbers of either dtype -------------------------------------------------------------------------------------- */

static inline double get(zs_dtype t, const void *p, size_t i) {
    return t == ZS_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static inline void set(zs_dtype t, void *p, size_t i, double v) {
    if (t == ZS_F64)
        ((double *)p)[i] = v;
    else
        ((float *)p)[i] = (float)v;
}
static inline double eps_of(zs_dtype t) { return t == ZS_F64 ? 0x1p-53 : 0x1p-24; }

static inline void *bench_alloc(size_t n_bytes) { /* aligned to 64 bytes; freed by zs_free_aligned */
    void *p = zs_alloc_aligned(n_bytes ? n_bytes : 1);
    if (!p) exit(2);
    memset(p, 0, n_bytes);
    return p;
}
static inline void *bench_normal(zs_dtype t, size_t n) {
    void *p = bench_alloc(n * zs_dtype_size(t));
    for (size_t i = 0; i < n; i++) set(t, p, i, normal());
    return p;
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

static int bench_checked, bench_failed;

typedef struct bench_rung {
    const char *name;
    void (*run)(void *arg); /* one call; NULL leaves the rung out */
    void *arg;
    double work; /* of a call: floating-point operations, or bytes */
    bool slow; /* timed in full mode only */
    bool checked;
    double error; /* largest, relative to the largest wanted number */
    double seconds, least; /* of a call, by bench_time: the median and the shortest */
} bench_rung;

static inline bool is_close(double a, double b, double tol) {
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tol;
}

/* |got - wanted| <= roundings * eps * bound, element by element, where bound is the sum of the absolute values of the
   terms of an element, or the number `scale` for all if it is NULL. */
static inline bool bench_check(bench_rung *r, zs_dtype t, size_t n, const void *got, const double *wanted,
                               const double *bound, double scale, double roundings) {
    double worst = 0, top = 0;
    bool ok = true;
    bench_checked++;
    for (size_t i = 0; i < n; i++) {
        const double a = get(t, got, i), tol = roundings * eps_of(t) * (bound ? bound[i] : scale);
        const double error = fabs(a - wanted[i]);
        if (fabs(wanted[i]) > top) top = fabs(wanted[i]);
        if (error > worst) worst = error;
        if (ok && !is_close(a, wanted[i], tol)) {
            printf("FAILED %s: element %zu is %.9g, reference %.9g, tolerance %.3g\n", r->name, i, a, wanted[i], tol);
            ok = false;
        }
    }
    bench_failed += !ok;
    worst = top > 0 ? worst / top : worst;
    if (worst > r->error) r->error = worst;
    r->checked = true;
    return ok;
}

/* --- times -------------------------------------------------------------------------------------------------------- */

static inline double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int bench_by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_turn(const bench_rung *r, int n) {
    const double start = bench_now();
    for (int i = 0; i < n; i++) r->run(r->arg);
    return (bench_now() - start) / n;
}

enum { BENCH_MAX_ROUNDS = 21, BENCH_MAX_RUNGS = 64 };

static inline void bench_time(bench_mode mode, int n_rungs, bench_rung *rungs) {
    static double times[BENCH_MAX_RUNGS][BENCH_MAX_ROUNDS];
    int calls[BENCH_MAX_RUNGS] = {0};
    const int n_rounds = mode == BENCH_FULL ? BENCH_MAX_ROUNDS : 5;
    const double slice = mode == BENCH_FULL ? 4e-3 : 5e-4;
    if (mode == BENCH_CHECK) return;
    for (int i = 0; i < n_rungs && i < BENCH_MAX_RUNGS; i++) { /* calls that fill a slice; the first warms up */
        if (!rungs[i].run || (rungs[i].slow && mode != BENCH_FULL)) continue;
        rungs[i].seconds = bench_turn(rungs + i, 1);
        for (calls[i] = 1; rungs[i].seconds < slice / 2 && calls[i] * bench_turn(rungs + i, calls[i]) < slice;)
            calls[i] *= 2;
    }
    for (int round = 0; round < n_rounds; round++)
        for (int i = 0; i < n_rungs && i < BENCH_MAX_RUNGS; i++)
            if (calls[i] && (round < 3 || rungs[i].seconds < 10 * slice))
                times[i][round] = bench_turn(rungs + i, calls[i]);
    for (int i = 0; i < n_rungs && i < BENCH_MAX_RUNGS; i++) {
        const int n = rungs[i].seconds < 10 * slice ? n_rounds : 3;
        qsort(times[i], (size_t)n, sizeof **times, bench_by_value);
        rungs[i].seconds = calls[i] ? times[i][n / 2] : 0;
        rungs[i].least = calls[i] ? times[i][0] : 0;
    }
}

/* --- what the machine can do -------------------------------------------------------------------------------------- */

/* Bodies, inlined into a function for each ISA: FMAs in n chains, and a = b + s * c over arrays. */
#define BENCH_BODIES(isa, n_bytes, chains, attribute)                                                    \
    typedef float bench_vec_##isa __attribute__((vector_size(n_bytes), may_alias));                      \
    attribute static inline double bench_fma_##isa(int n_turns) {                                        \
        const double lanes = n_bytes / sizeof(float);                                                    \
        volatile float factor = 0.999f, term = 0.001f;                                                   \
        const bench_vec_##isa x = factor - (bench_vec_##isa){0}, y = term - (bench_vec_##isa){0};        \
        bench_vec_##isa a[chains];                                                                       \
        for (int i = 0; i < chains; i++) a[i] = y * (float)i;                                            \
        const double start = bench_now();                                                                \
        for (int t = 0; t < n_turns; t++)                                                                \
            _Pragma("GCC unroll 24") for (int i = 0; i < chains; i++) a[i] = a[i] * x + y;               \
        const double seconds = bench_now() - start;                                                      \
        for (int i = 1; i < chains; i++) a[0] += a[i];                                                   \
        factor = a[0][0];                                                                                \
        return 2 * lanes * chains * n_turns / seconds;                                                   \
    }                                                                                                    \
    attribute static inline void bench_triad_##isa(size_t n, float *a, const float *b, const float *c) { \
        const bench_vec_##isa s = 0.5f - (bench_vec_##isa){0};                                           \
        for (size_t i = 0; i < n; i += n_bytes / sizeof(float))                                          \
            *(bench_vec_##isa *)(a + i) =                                                                \
                *(const bench_vec_##isa *)(b + i) + s * *(const bench_vec_##isa *)(c + i);               \
    }
#ifdef __x86_64__
BENCH_BODIES(baseline, 16, 12, )
BENCH_BODIES(avx2, 32, 12, __attribute__((target("avx2,fma"))))
BENCH_BODIES(avx512, 64, 12, __attribute__((target("avx512f"))))
#define BENCH_BEST(call)                                       \
    (__builtin_cpu_supports("avx512f") ? bench_##call##_avx512 \
     : __builtin_cpu_supports("avx2")  ? bench_##call##_avx2   \
                                       : bench_##call##_baseline)
#else
BENCH_BODIES(baseline, 16, 24, )
#define BENCH_BEST(call) bench_##call##_baseline
#endif

static inline double bench_peak(void) { /* float32, of one thread, in operations a second */
    double times[7];
    for (int i = 0; i < 7; i++) times[i] = BENCH_BEST(fma)(1000000);
    qsort(times, 7, sizeof *times, bench_by_value);
    return times[3];
}

static inline double bench_bandwidth(double n_bytes) { /* bytes a second of a triad over n_bytes in all */
    const size_t n = (size_t)(n_bytes / 12 / 16) * 16 + 16;
    float *a = bench_alloc(n * 4), *b = bench_alloc(n * 4), *c = bench_alloc(n * 4);
    double times[7];
    const int turns = (int)(2e7 / n_bytes) + 1;
    for (int round = 0; round < 7; round++) {
        const double start = bench_now();
        for (int i = 0; i < turns; i++) {
            BENCH_BEST(triad)(n, a, b, c);
            __asm__ volatile("" ::: "memory");
        }
        times[round] = (bench_now() - start) / turns;
    }
    qsort(times, 7, sizeof *times, bench_by_value);
    zs_free_aligned(a), zs_free_aligned(b), zs_free_aligned(c);
    return (double)n * 12 / times[3];
}

/* --- the table and the frame -------------------------------------------------------------------------------------- */

static inline void bench_print(const char *title, const char *unit, double peak, int n_rungs, const bench_rung *rungs) {
    printf("%s; limit %.0f %s\n", title, peak * 1e-9, unit);
    for (int i = 0; i < n_rungs; i++) {
        const bench_rung *r = rungs + i;
        if (r->seconds == 0 && !r->checked) continue;
        printf("  %-28s", r->name);
        if (r->seconds > 0)
            printf(" %8.1f %s %5.0f %% %10.1f us   best %8.1f", r->work / r->seconds * 1e-9, unit,
                   100 * r->work / r->seconds / peak, r->seconds * 1e6, r->work / r->least * 1e-9);
        if (r->checked) printf("   error %.1e", r->error);
        printf("\n");
    }
    fflush(stdout);
}

/* Usable vectorised tables, but for `only`; false where there is none of that number. */
static inline bool bench_table(int i, zs_dtype t, const char *only, zs_kernels *k) {
    return (!only || strcmp(only, zs_cpu_table_name(i)) == 0) && zs_cpu_kernels(t, zs_cpu_table_name(i), k);
}

static inline bench_mode bench_start(int argc, char **argv, const char **only) {
    const char *mode = argc > 1 ? argv[1] : "full";
    *only = argc > 2 ? argv[2] : NULL;
    if (strcmp(mode, "check") == 0) return BENCH_CHECK;
    if (strcmp(mode, "quick") == 0) return BENCH_QUICK;
    if (strcmp(mode, "full") == 0) return BENCH_FULL;
    fprintf(stderr, "usage: %s [check|quick|full] [table]\n", argv[0]);
    exit(2);
}

static inline int bench_end(void) {
    printf("%d checks, %d failed\n", bench_checked, bench_failed);
    return bench_failed != 0;
}

#endif
