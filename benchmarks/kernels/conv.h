/* What the ladders of convolutions share: a shape, its reference in double, rungs for the three directions.

   Rungs: the reference table, plain C (float sums, loops that a compiler vectorises), each vectorised table. Nominal
   rates: 2 operations for each product, those with padding counted. x is read through a ReLU where a shape says so. */
#ifndef ZS_BENCH_CONV_H
#define ZS_BENCH_CONV_H

#include "bench.h"

typedef struct conv_shape {
    int C, K, size, kernel, stride, dilation; /* padded to P = ceil(size / stride) */
    bool depthwise, relu;
} conv_shape;

typedef struct conv_run {
    zs_kernels k;
    zs_conv2d d;
    int N;
    zs_view x, y, dy, dx;
    const void *w; /* R x S x I x O */
    void *dw, *packed, *packed_back, *scratch;
} conv_run;

static inline void run_fwd(void *arg) {
    conv_run *c = arg;
    c->k.conv2d_fwd(&c->d, 0, c->N, &c->x, c->packed, NULL, &c->y, c->scratch);
}
static inline void run_bwd_x(void *arg) {
    conv_run *c = arg;
    c->k.conv2d_bwd_x(&c->d, 0, c->N, &c->dy, c->packed_back, &c->x, &c->dx, false, c->scratch);
}
static inline void run_bwd_w(void *arg) {
    conv_run *c = arg;
    c->k.conv2d_bwd_w(&c->d, 0, c->N, &c->x, &c->dy, c->dw, NULL, c->scratch);
}

#define FOR_TAPS(run)                                    \
    for (int n = 0; n < (run)->N; n++)                   \
        for (int p = 0; p < (run)->d.P; p++)             \
            for (int q = 0; q < (run)->d.Q; q++)         \
                for (int r = 0; r < (run)->d.win.R; r++) \
                    for (int s = 0; s < (run)->d.win.S; s++)

typedef struct conv_place { /* of the first channel in x, y and w */
    ptrdiff_t x, y, w;
} conv_place;

static inline bool inside(const conv_run *run, int n, int p, int q, int r, int s, conv_place *at) {
    const zs_conv2d *d = &run->d;
    const int h = p * d->win.stride_h + r * d->win.dil_h - d->win.pad_h;
    const int v = q * d->win.stride_w + s * d->win.dil_w - d->win.pad_w;
    at->x = n * run->x.sn + h * run->x.sh + v * run->x.sw;
    at->y = n * run->y.sn + p * run->y.sh + q * run->y.sw;
    at->w = (ptrdiff_t)(r * d->win.S + s) * (d->C / d->groups) * d->K;
    return h >= 0 && h < d->H && v >= 0 && v < d->W;
}

/* Plain C: outputs along the inner loop; depthwise: channels. */
static inline void plain_fwd(void *arg) {
    const conv_run *run = arg;
    const int I = run->d.C / run->d.groups, K = run->d.K;
    const float least = run->d.relu ? 0 : -INFINITY;
    memset(run->y.p, 0, (size_t)(run->N * run->y.sn) * sizeof(float));
    conv_place at;
    FOR_TAPS(run) {
        if (!inside(run, n, p, q, r, s, &at)) continue;
        const float *x = (const float *)run->x.p + at.x, *w = (const float *)run->w + at.w;
        float *y = (float *)run->y.p + at.y;
        if (run->d.groups > 1)
            for (int k = 0; k < K; k++) y[k] += w[k] * (x[k] < least ? least : x[k]);
        else
            for (int i = 0; i < I; i++)
                for (int k = 0; k < K; k++) y[k] += w[i * K + k] * (x[i] < least ? least : x[i]);
    }
}

static inline void plain_bwd_x(void *arg) {
    const conv_run *run = arg;
    const int I = run->d.C / run->d.groups, K = run->d.K;
    const float least = run->d.relu ? 0 : -INFINITY;
    memset(run->dx.p, 0, (size_t)(run->N * run->dx.sn) * sizeof(float));
    conv_place at;
    FOR_TAPS(run) {
        if (!inside(run, n, p, q, r, s, &at)) continue;
        const float *x = (const float *)run->x.p + at.x, *w = (const float *)run->w + at.w;
        const float *dy = (const float *)run->dy.p + at.y;
        float *dx = (float *)run->dx.p + at.x;
        if (run->d.groups > 1) {
            for (int k = 0; k < K; k++) dx[k] += x[k] <= least ? 0 : w[k] * dy[k];
            continue;
        }
        for (int i = 0; i < I; i++) {
            float sum = 0;
            for (int k = 0; k < K; k++) sum += w[i * K + k] * dy[k];
            dx[i] += x[i] <= least ? 0 : sum;
        }
    }
}

static inline void plain_bwd_w(void *arg) {
    const conv_run *run = arg;
    const int I = run->d.C / run->d.groups, K = run->d.K;
    const float least = run->d.relu ? 0 : -INFINITY;
    memset(run->dw, 0, (size_t)(run->d.win.R * run->d.win.S * I * K) * sizeof(float));
    conv_place at;
    FOR_TAPS(run) {
        if (!inside(run, n, p, q, r, s, &at)) continue;
        const float *x = (const float *)run->x.p + at.x, *dy = (const float *)run->dy.p + at.y;
        float *dw = (float *)run->dw + at.w;
        if (run->d.groups > 1)
            for (int k = 0; k < K; k++) dw[k] += dy[k] * (x[k] < least ? least : x[k]);
        else
            for (int i = 0; i < I; i++)
                for (int k = 0; k < K; k++) dw[i * K + k] += dy[k] * (x[i] < least ? least : x[i]);
    }
}

typedef struct conv_wanted { /* sums, and sums of absolute values */
    double *y, *dx, *dw, *ay, *adx, *adw;
    size_t n_y, n_x, n_w;
} conv_wanted;

static inline conv_wanted conv_reference(const conv_run *run) {
    conv_wanted wanted = {.n_y = (size_t)(run->N * run->y.sn), .n_x = (size_t)(run->N * run->x.sn)};
    wanted.n_w = (size_t)(run->d.win.R * run->d.win.S * run->d.C / run->d.groups * run->d.K);
    double *all = bench_alloc(2 * (wanted.n_y + wanted.n_x + wanted.n_w) * sizeof *all);
    wanted.y = all, wanted.dx = wanted.y + wanted.n_y, wanted.dw = wanted.dx + wanted.n_x;
    wanted.ay = wanted.dw + wanted.n_w, wanted.adx = wanted.ay + wanted.n_y, wanted.adw = wanted.adx + wanted.n_x;
    const int I = run->d.C / run->d.groups, K = run->d.K;
    conv_place at;
    FOR_TAPS(run) {
        if (!inside(run, n, p, q, r, s, &at)) continue;
        for (int i = 0; i < I; i++)
            for (int k = 0; k < K; k++) {
                const ptrdiff_t xi = at.x + (run->d.groups > 1 ? k : i), yi = at.y + k, wi = at.w + i * K + k;
                const double v = get(ZS_F32, run->x.p, (size_t)xi), x = run->d.relu && v < 0 ? 0 : v;
                const double w = get(ZS_F32, run->w, (size_t)wi), dy = get(ZS_F32, run->dy.p, (size_t)yi);
                wanted.y[yi] += x * w, wanted.ay[yi] += fabs(x * w);
                wanted.dw[wi] += x * dy, wanted.adw[wi] += fabs(x * dy);
                if (!run->d.relu || v > 0) wanted.dx[xi] += w * dy, wanted.adx[xi] += fabs(w * dy);
            }
    }
    return wanted;
}

static inline void conv_pack(conv_run *c) {
    c->packed = bench_alloc(c->k.conv2d_packed_bytes(&c->d, false));
    c->packed_back = bench_alloc(c->k.conv2d_packed_bytes(&c->d, true));
    c->scratch = bench_alloc(c->k.conv2d_scratch_bytes(&c->d));
    c->k.conv2d_pack(&c->d, c->w, false, c->packed);
    c->k.conv2d_pack(&c->d, c->w, true, c->packed_back);
}

static inline conv_run conv_make(const conv_shape *s, int N, const zs_kernels *k) {
    const int P = (s->size + s->stride - 1) / s->stride, pad = s->dilation * (s->kernel - 1) / 2;
    conv_run c = {.k = *k, .N = N};
    c.d = (zs_conv2d){.C = s->C,
                      .H = s->size,
                      .W = s->size,
                      .K = s->K,
                      .P = P,
                      .Q = P,
                      .relu = s->relu,
                      .groups = s->depthwise ? s->C : 1,
                      .algo = ZS_ALGO_DIRECT};
    c.d.win = (zs_window){s->kernel, s->kernel, s->stride, s->stride, pad, pad, s->dilation, s->dilation};
    const zs_view in = {NULL, s->size * s->size * s->C, s->size * s->C, s->C},
                  out = {NULL, P * P * s->K, P * s->K, s->K};
    c.x = c.dx = in, c.y = c.dy = out;
    const size_t n_x = (size_t)(N * in.sn), n_y = (size_t)(N * out.sn);
    const size_t n_w = (size_t)(s->kernel * s->kernel * s->C / c.d.groups * s->K);
    bench_state = 1; /* the same numbers for each table */
    c.w = bench_normal(ZS_F32, n_w);
    c.x.p = bench_normal(ZS_F32, n_x);
    c.dy.p = bench_normal(ZS_F32, n_y);
    c.dx.p = bench_alloc(n_x * sizeof(float));
    c.y.p = bench_alloc(n_y * sizeof(float));
    c.dw = bench_alloc(n_w * sizeof(float));
    conv_pack(&c);
    return c;
}

static inline void conv_free(conv_run *c) {
    void *all[] = {c->x.p, c->dy.p, c->dx.p, c->y.p, c->dw, c->packed, c->packed_back, c->scratch, (void *)c->w};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) zs_free_aligned(all[i]);
}

/* Checks and times one shape; peak in operations a second. */
static inline void conv_ladder(bench_mode mode, const char *only, const conv_shape *s, int N, double peak) {
    enum { MAX_TABLES = 8 };
    static const char *const directions[] = {"forward", "backward-data", "backward-weights"};
    static void (*const plain[])(void *) = {plain_fwd, plain_bwd_x, plain_bwd_w};
    static void (*const kernels[])(void *) = {run_fwd, run_bwd_x, run_bwd_w};
    conv_run runs[MAX_TABLES];
    const char *names[MAX_TABLES];
    int n_runs = 0;
    zs_kernels k;
    for (int i = 0; i < zs_cpu_n_tables() && n_runs < MAX_TABLES; i++) {
        if (i > 0 && !bench_table(i, ZS_F32, only, &k)) continue;
        if (i == 0) k = zs_kernels_ref_f32;
        names[n_runs] = zs_cpu_table_name(i);
        runs[n_runs++] = conv_make(s, mode == BENCH_CHECK ? 2 : N, &k);
    }
    const zs_conv2d *d = &runs[0].d;
    const int N_check = runs[0].N < 2 ? runs[0].N : 2, per_group = d->C / d->groups;
    const double work = 2.0 * runs[0].N * d->P * d->Q * d->K * per_group * s->kernel * s->kernel;
    conv_run few = runs[0];
    few.N = N_check;
    const conv_wanted wanted = conv_reference(&few);
    for (int direction = 0; direction < 3; direction++) {
        bench_rung rungs[MAX_TABLES + 1] = {{"plain C", plain[direction], &runs[0], .work = work, .slow = true}};
        int n = 1;
        for (int i = 0; i < n_runs; i++)
            rungs[n++] = (bench_rung){names[i], kernels[direction], &runs[i], .work = work, .slow = i == 0};
        for (int i = 0; i < n; i++) {
            conv_run c = *(conv_run *)rungs[i].arg;
            c.N = N_check;
            rungs[i].run(&c);
            const int terms = s->kernel * s->kernel *
                              (direction == 0   ? per_group
                               : direction == 1 ? d->K / d->groups
                                                : N_check * d->P * d->Q);
            if (direction == 0) bench_check(rungs + i, ZS_F32, wanted.n_y, c.y.p, wanted.y, wanted.ay, 0, terms + 2);
            if (direction == 1) bench_check(rungs + i, ZS_F32, wanted.n_x, c.dx.p, wanted.dx, wanted.adx, 0, terms + 2);
            if (direction == 2) bench_check(rungs + i, ZS_F32, wanted.n_w, c.dw, wanted.dw, wanted.adw, 0, terms + 2);
        }
        char title[160];
        snprintf(title, sizeof title, "%s %dx%d%s%s%s%s, C%d-%d at %d, N=%d", directions[direction], s->kernel,
                 s->kernel, s->depthwise ? " depthwise" : "", s->stride > 1 ? " stride 2" : "",
                 s->dilation > 1 ? " dilation 2" : "", s->relu ? ", ReLU" : "", s->C, s->K, s->size, runs[0].N);
        bench_time(mode, n, rungs);
        if (mode != BENCH_CHECK) bench_print(title, "GF/s", peak, n, rungs);
    }
    zs_free_aligned(wanted.y);
    for (int i = 0; i < n_runs; i++) conv_free(&runs[i]);
}

static inline int conv_main(int argc, char **argv, int n_shapes, const conv_shape *shapes) {
    const char *only;
    const bench_mode mode = bench_start(argc, argv, &only);
    const double peak = mode == BENCH_CHECK ? 1 : bench_peak();
    for (int i = 0; i < n_shapes; i++) conv_ladder(mode, only, shapes + i, 4, peak);
    for (int i = 0; mode == BENCH_FULL && i < n_shapes; i++) conv_ladder(mode, only, shapes + i, 64, peak);
    return bench_end();
}

#endif
