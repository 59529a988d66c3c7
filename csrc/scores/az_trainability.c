/* AZ-NAS (Lee and Ham, CVPR 2024), trainability: how evenly gradients pass from one feature to the one before. On each
   feature F_m, m = 1 ... M, lies a gradient G_out of random signs; G_in is what comes of it at F_{m-1}, its blocks of
   pixels made channels where F_{m-1} is larger. With places as rows and s the largest singular value of
   A = G_in^T G_out / (B H_out W_out) the value is

       mean over m of  2 - s - 1 / (s + 1e-6)

   All cells go backward in one sweep: a feature's gradient is looked at, then replaced by its own signs. Where a
   feature is read past the next one (two inputs of a cell, say), every `span`-th feature has its signs in a sweep and
   the others zeros, so that what comes to F_{m-1} comes from F_m alone. */
#include <string.h>

#include "core/dense.h"
#include "scores/features.h"

static const char *const PARAMS[] = {NULL};

/* How many features on the furthest is that reads F_m through no other feature. */
static int reach_of(const zs_graph *g, int node) {
    bool reads[ZS_MAX_NODES];
    int furthest = 0, index = 0;
    reads[node] = true;
    for (int i = node + 1; i < g->n_nodes; i++) {
        reads[i] = false;
        for (int j = 0; j < g->nodes[i].n_inputs; j++) {
            const int from = zs_node_inputs(g, i)[j];
            reads[i] = reads[i] || (from >= node && reads[from] && (from == node || !g->nodes[from].feature));
        }
        index += g->nodes[i].feature;
        if (g->nodes[i].feature && reads[i]) furthest = index;
    }
    return furthest;
}

static int span_of(const zs_graph *g) {
    int span = 1;
    for (int i = 0; i < g->n_nodes; i++) {
        const int reach = g->nodes[i].feature ? reach_of(g, i) : 0;
        if (reach > span) span = reach;
    }
    return span;
}

typedef struct memory {
    int sweep, span;
    bool blocked, identity;
    double numbers[]; /* terms by m; then of one cell A, its square, eigenvalues and their scratch, rows of both */
} memory;

typedef struct cell { /* between F_{m-1} and F_m */
    zs_shape in, out;
    int fh, fw;   /* pixels of F_{m-1} for one of F_m */
    size_t C_in;  /* after blocks of pixels are made channels */
} cell;

static cell cell_of(const zs_graph *g, int m) {
    cell c = {.in = g->nodes[zs_feature_node(g, m - 1)].shape, .out = g->nodes[zs_feature_node(g, m)].shape};
    c.fh = c.in.H / c.out.H > 0 ? c.in.H / c.out.H : 1;
    c.fw = c.in.W / c.out.W > 0 ? c.in.W / c.out.W : 1;
    c.C_in = (size_t)c.in.C * (size_t)c.fh * (size_t)c.fw;
    return c;
}

static size_t smaller(const cell *c) { return c->C_in < (size_t)c->out.C ? c->C_in : (size_t)c->out.C; }

static size_t cell_numbers(const cell *c) {
    const size_t n = smaller(c), C_out = (size_t)c->out.C, W = (size_t)c->out.W;
    return c->C_in * C_out + n * n + n + W * (c->C_in + C_out) + (size_t)c->in.W * (size_t)c->in.C +
           zs_dense_eigenvalues_scratch_bytes(n) / sizeof(double) + 1;
}

/* A cell whose output is zero passes gradients all the same. */
static zs_needs needs(const zs_score_run *run) {
    return (zs_needs){.no_params = true, .dead = true, .n_sweeps = span_of(run->graph)};
}

static unsigned watch(const zs_score_run *run, int node) { return run->graph->nodes[node].feature ? ZS_WATCH_SEED : 0; }

static size_t memory_bytes(const zs_score_run *run) {
    const int n = zs_n_features(run->graph);
    size_t most = 0;
    for (int m = 1; m < n; m++) {
        const cell c = cell_of(run->graph, m);
        if (cell_numbers(&c) > most) most = cell_numbers(&c);
    }
    return sizeof(memory) + ((size_t)n + 1 + most) * sizeof(double);
}

static int begin_sweep(const zs_score_run *run, void *state, int sweep) {
    memory *m = state;
    m->sweep = sweep;
    m->span = span_of(run->graph);
    return -1;
}

/* --- signs -------------------------------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea and Flood, 2014) at a place of its stream. */
static uint64_t split_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Signs given by the caller lie behind each other, F_1 first, each B x C x H x W. */
static size_t given_offset(const zs_score_run *run, int m) {
    size_t at = 0;
    for (int i = 1; i < m; i++) {
        const zs_shape s = run->graph->nodes[zs_feature_node(run->graph, i)].shape;
        at += (size_t)run->group_size * (size_t)s.C * (size_t)s.H * (size_t)s.W;
    }
    return at;
}

static const char *check(const zs_score_run *run) {
    const bool fit = !run->signs || run->n_signs == given_offset(run, zs_n_features(run->graph));
    return fit ? NULL : "signs: expected one for each element of all features but the first, in each image";
}

/* Row h of image n of G_out on F_m, W x C. */
static void sign_row(const zs_score_run *run, int m, zs_shape s, int n, int h, double *out) {
    const size_t place = (size_t)s.H * (size_t)s.W, C = (size_t)s.C;
    const size_t given = run->signs ? given_offset(run, m) : 0;
    const uint64_t key = split_mix(run->seed * 0x9e3779b97f4a7c15u + (uint64_t)m);
    for (size_t w = 0; w < (size_t)s.W; w++)
        for (size_t c = 0; c < C; c++) {
            const size_t at = ((size_t)n * C + c) * place + (size_t)h * (size_t)s.W + w;
            const bool negative = run->signs ? run->signs[given + at] < 0
                                             : split_mix(key + (at / 64 + 1) * 0x9e3779b97f4a7c15u) >> at % 64 & 1;
            out[w * C + c] = negative ? -1.0 : 1.0;
        }
}

/* --- one cell ----------------------------------------------------------------------------------------------------- */

/* A row of G_out's places with the channels of the block of pixels that each stands for. */
static void unshuffled_row(const zs_kernels *k, const zs_look *look, const cell *c, int n, int p, double *row,
                           double *out) {
    const size_t C = (size_t)c->in.C;
    for (int i = 0; i < c->fh; i++) {
        zs_row_of_view(k, &look->grad, c->in, n, p * c->fh + i, row);
        for (int q = 0; q < c->out.W; q++)
            for (int j = 0; j < c->fw; j++)
                memcpy(out + (size_t)q * c->C_in + (size_t)(i * c->fw + j) * C, row + (size_t)(q * c->fw + j) * C,
                       C * sizeof *out);
    }
}

static double largest_singular_value(const cell *c, const double *a, double *gram) {
    const size_t rows = c->C_in, cols = (size_t)c->out.C, n = smaller(c);
    memset(gram, 0, n * n * sizeof *gram);
    if (cols == n)
        zs_dense_add_outer(rows, n, n, a, a, gram);
    else
        zs_dense_add_gram(n, cols, a, gram);
    double *values = gram + n * n;
    if (zs_dense_eigenvalues(n, gram, values, values + n) != ZS_DENSE_OK) return NAN;
    return sqrt(fmax(values[n - 1], 0.0));
}

/* The term of F_m from the gradient at F_{m-1}. */
static double term(const zs_score_run *run, memory *state, const zs_look *look, int m, double *numbers) {
    const cell c = cell_of(run->graph, m);
    const size_t C_out = (size_t)c.out.C, W = (size_t)c.out.W;
    double *a = numbers, *in = a + c.C_in * C_out, *out = in + W * c.C_in, *row = out + W * C_out;
    double *gram = row + (size_t)c.in.W * (size_t)c.in.C;
    const bool same_shape = c.in.C == c.out.C && c.in.H == c.out.H && c.in.W == c.out.W;
    bool equal = same_shape, any = false;
    memset(a, 0, c.C_in * C_out * sizeof *a);
    for (int n = 0; n < run->group_size; n++)
        for (int p = 0; p < c.out.H; p++) {
            sign_row(run, m, c.out, n, p, out);
            unshuffled_row(run->kernels, look, &c, n, p, row, in);
            equal = equal && memcmp(in, out, W * C_out * sizeof *in) == 0;
            for (size_t i = 0; i < W * c.C_in && !any; i++) any = in[i] != 0;
            zs_dense_add_outer(W, c.C_in, C_out, in, out, a);
        }
    if (equal) {
        state->identity = true;
        return -INFINITY;
    }
    state->blocked = state->blocked || !any;
    const double places = (double)run->group_size * c.out.H * c.out.W;
    for (size_t i = 0; i < c.C_in * C_out; i++) a[i] /= places;
    const double s = largest_singular_value(&c, a, gram);
    return 2.0 - s - 1.0 / (s + 1e-6);
}

static void replace(const zs_score_run *run, const zs_look *look, int m, bool has_signs, double *row) {
    const zs_kernels *k = run->kernels;
    const zs_shape s = look->shape;
    const size_t real = zs_dtype_size(k->dtype);
    for (int n = 0; n < run->group_size; n++)
        for (int h = 0; h < s.H; h++) {
            memset(row, 0, (size_t)s.W * (size_t)s.C * sizeof *row);
            if (has_signs) sign_row(run, m, s, n, h, row);
            for (int w = 0; w < s.W; w++) {
                const ptrdiff_t at = n * look->grad.sn + h * look->grad.sh + w * look->grad.sw;
                k->cast((size_t)s.C, row + (size_t)w * (size_t)s.C, (char *)look->grad.p + at * (ptrdiff_t)real);
            }
        }
}

static void look(const zs_score_run *run, void *memory_, const zs_look *look) {
    memory *state = memory_;
    const int n = zs_n_features(run->graph), m = zs_feature_index(run->graph, look->node);
    double *terms = state->numbers, *seen = terms + n, *numbers = seen + 1;
    if (m + 1 < n && (m + 1) % state->span == state->sweep) {
        terms[m + 1] = term(run, state, look, m + 1, numbers);
        *seen += 1;
    }
    replace(run, look, m, m > 0 && m % state->span == state->sweep, numbers);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    memory *state = f->memory;
    const int n = zs_n_features(run->graph);
    const double *terms = state->numbers, seen = state->numbers[n];
    if (n < 2) {
        zs_undefined(run, "no_features");
        return;
    }
    for (int m = 1; m < n; m++) run->value += terms[m] / (n - 1);
    run->value += (n - 1 - seen) / (n - 1) * (2.0 - 1e6); /* no gradient at all: s = 0 */
    if (state->identity) {
        run->status = ZS_RESULT_NONFINITE;
        run->reason = "identity_cell";
        run->value = -INFINITY;
    } else if (state->blocked || seen < n - 1) {
        run->status = ZS_RESULT_NO_SIGNAL;
        run->reason = "blocked_cell";
    }
}

const zs_score zs_score_az_trainability = {
    .name = "az_trainability",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .check = check,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .begin_sweep = begin_sweep,
    .look = look,
    .finish = finish,
};
