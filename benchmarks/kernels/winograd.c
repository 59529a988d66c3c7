/* 3x3 convolutions as direct sums, by F(2x2, 3x3) and by F(4x4, 3x3): forward, both gradients, and these in one call.

       winograd [check|quick|full] [table]

   bench.h tells how it is built, conv.h what the first rungs are. Rates are nominal, so Winograd may pass the limit.
   Errors are held to what csrc/cpu/simd/winograd_simd.inc.h promises.

   What was bought (Zen 4, gcc 12, one thread, 4 samples in cache, best of several, F(4x4), GF/s beside an FMA peak of
   118; 16, 32 and 64 channels, forward / both gradients):
       AVX-512   187 / 176, 257 / 222, 300 / 210  a tile's 36 elements a batch apart, bounds tested for each pixel, dx
                                                  added up from overlapping tiles, dw from patches of x
                 265 / 290, 325 / 330, 355 / 325  a tile's elements next to each other at constant offsets, its rows
                                                  done in groups that fit in registers, rows outside the image read from
                                                  zeros; dx gathered from the patches of dy that dw uses too
       AVX2      125 / 110, 150 / 135, 168 / 126
                 230 / 261, 291 / 304, 271 / 290
   Tiles a cache line further apart, so that an element of all tiles does not lie in one set of the cache, made F(2x2)
   dw with vectors of 8 155, 191 and 193 instead of 119, 108 and 66.

   Without gain: all six rows of a transform at once, which spills (55 to 61 ns for the patch of a tile), products in
   place of their input, prefetching inputs and outputs of a batch during products, batches of 8 or 24 tiles. */
#include "conv.h"

static void run_both(void *arg) {
    conv_run *c = arg;
    if (c->k.conv2d_algo(&c->d) != ZS_ALGO_DIRECT) {
        c->k.conv2d_bwd(&c->d, 0, c->N, &c->x, &c->dy, c->packed_back, &c->dx, false, c->dw, NULL, c->scratch);
        return;
    }
    run_bwd_x(c);
    run_bwd_w(c);
}

static conv_run make(const conv_shape *s, int N, const zs_kernels *k, zs_algo algo) {
    conv_run c = conv_make(s, N, k);
    zs_free_aligned(c.packed);
    zs_free_aligned(c.packed_back);
    zs_free_aligned(c.scratch);
    c.d.algo = algo;
    conv_pack(&c);
    return c;
}

static double top(size_t n, const double *v) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}
static double rms(size_t n, const double *v) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i] * v[i];
    return sqrt(sum / (double)n);
}

enum { N_ALGOS = 3, N_PASSES = 4 };
static const zs_algo ALGOS[N_ALGOS] = {ZS_ALGO_DIRECT, ZS_ALGO_F2, ZS_ALGO_F4};
static const char *const NAMES[N_ALGOS] = {"direct", "F(2x2)", "F(4x4)"};
/* Of y and dx relative to the largest, of dw relative to the root mean square. */
static const double LIMIT[N_ALGOS] = {5e-6, 5e-6, 1e-5}, LIMIT_W[N_ALGOS] = {1e-5, 1e-5, 1e-4};

static void ladder(bench_mode mode, const zs_kernels *k, const conv_shape *s, int N, double peak) {
    static const char *const passes[N_PASSES] = {"forward", "backward-data", "backward-weights", "both gradients"};
    static void (*const run[N_PASSES])(void *) = {run_fwd, run_bwd_x, run_bwd_w, run_both};
    conv_run runs[N_ALGOS];
    for (int a = 0; a < N_ALGOS; a++) runs[a] = make(s, N, k, ALGOS[a]);
    const conv_wanted wanted = conv_reference(&runs[0]);
    const double work = 2.0 * N * s->size * s->size * s->C * s->K * 9;
    const double most_y = top(wanted.n_y, wanted.y), most_x = top(wanted.n_x, wanted.dx);
    const double rms_w = rms(wanted.n_w, wanted.dw), eps = eps_of(ZS_F32);
    for (int pass = 0; pass < N_PASSES; pass++) {
        bench_rung rungs[N_ALGOS];
        for (int a = 0; a < N_ALGOS; a++) {
            bench_rung *r = rungs + a;
            conv_run *c = runs + a;
            *r = (bench_rung){NAMES[a], run[pass], c, .work = pass == 3 ? 2 * work : work};
            r->run(c);
            if (pass == 0) bench_check(r, ZS_F32, wanted.n_y, c->y.p, wanted.y, NULL, most_y, LIMIT[a] / eps);
            if (pass == 1 || pass == 3)
                bench_check(r, ZS_F32, wanted.n_x, c->dx.p, wanted.dx, NULL, most_x, LIMIT[a] / eps);
            if (pass >= 2) bench_check(r, ZS_F32, wanted.n_w, c->dw, wanted.dw, NULL, rms_w, LIMIT_W[a] / eps);
        }
        char title[160];
        snprintf(title, sizeof title, "%s: %s, ReLU, C%d-%d at %d, N=%d", k->name, passes[pass], s->C, s->K, s->size,
                 N);
        bench_time(mode, N_ALGOS, rungs);
        if (mode != BENCH_CHECK) bench_print(title, "GF/s", peak, N_ALGOS, rungs);
    }
    zs_free_aligned(wanted.y);
    for (int a = 0; a < N_ALGOS; a++) conv_free(&runs[a]);
}

int main(int argc, char **argv) {
    static const conv_shape shapes[] = {
        {16, 16, 32, 3, 1, 1, false, true},
        {32, 32, 16, 3, 1, 1, false, true},
        {64, 64, 8, 3, 1, 1, false, true},
        {43, 43, 10, 3, 1, 1, false, true},
    };
    const char *only;
    const bench_mode mode = bench_start(argc, argv, &only);
    const double peak = mode == BENCH_CHECK ? 1 : bench_peak();
    zs_kernels k;
    for (int i = 1; i < zs_cpu_n_tables(); i++)
        for (int s = 0; bench_table(i, ZS_F32, only, &k) && s < (int)(sizeof shapes / sizeof *shapes); s++) {
            ladder(mode, &k, shapes + s, 4, peak);
            ladder(mode, &k, shapes + s, 1, peak);
            if (mode == BENCH_FULL) ladder(mode, &k, shapes + s, 16, peak);
        }
    return bench_end();
}
