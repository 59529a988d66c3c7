/* MeCo (Jiang et al., NeurIPS 2023): the smallest eigenvalue of the correlation of the channels of one image,
   C x C over its pixels, summed over the outputs of convolutions, batch norms, activations and pools with a window.
   Entries of channels without variance are 0. With m channels given (MeCo_opt), C > m: of m random ones, times C / m.

   The matrix is positive semidefinite, so what is known to be singular has a smallest eigenvalue of exactly 0 here:
   more channels than pixels - 1, or a channel without variance. Batch norm turns a channel's sign at most, unless its
   scale is 0, so its eigenvalue is that of its input; a ReLU's output is taken from its input, too. */
#include "core/dense.h"
#include "core/rng.h"
#include "scores/correlation.h"
#include "scores/features.h"

enum { CHANNELS }; /* 0: all */

static const char *const PARAMS[] = {"channels", NULL};
static const uint64_t STREAM = 0x6d65636f; /* of the random channels; the node is added */

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

static unsigned watch(const zs_score_run *run, int node) {
    switch (run->graph->nodes[node].op) {
    case ZS_OP_CONV2D:
    case ZS_OP_MAX_POOL:
    case ZS_OP_AVG_POOL: return ZS_WATCH_VALUE;
    case ZS_OP_BATCH_NORM:
    case ZS_OP_RELU: return ZS_WATCH_INPUT;
    default: return zs_is_activation(run->graph->nodes[node].op) ? ZS_WATCH_VALUE : 0;
    }
}

/* How many of a node's channels enter its correlation. */
static size_t n_taken(const zs_score_run *run, zs_shape s) {
    const double m = run->params[CHANNELS];
    return m > 0 && m < s.C ? (size_t)m : (size_t)s.C;
}

static bool is_singular(const zs_score_run *run, zs_shape s) {
    return n_taken(run, s) > 1 && n_taken(run, s) >= (size_t)s.H * (size_t)s.W;
}

typedef struct memory {
    bool not_finite;
    double values[]; /* smallest eigenvalue by node; then of one node: channels (ints), a row, pixels, correlations */
} memory;

static size_t memory_bytes(const zs_score_run *run) {
    size_t most = 0;
    for (int i = 0; i < run->graph->n_nodes; i++) {
        const zs_shape s = run->graph->nodes[i].shape;
        if (!watch(run, i)) continue;
        const size_t n = n_taken(run, s), C = (size_t)s.C, W = (size_t)s.W;
        const size_t n_values = C + W * C + n * W * (size_t)s.H + n * n + n;
        const size_t wanted = n_values * sizeof(double) + zs_dense_eigenvalues_scratch_bytes(n);
        if (wanted > most) most = wanted;
    }
    return sizeof(memory) + (size_t)run->graph->n_nodes * sizeof(double) + most;
}

/* All channels, or the first few of a random order. */
static void take_channels(const zs_score_run *run, int node, size_t n, size_t C, int *channels) {
    for (size_t c = 0; c < C; c++) channels[c] = (int)c;
    for (size_t c = 0; c < n && n < C; c++) {
        const double u = zs_rng_at(run->seed, STREAM + (uint64_t)node, c);
        const size_t other = c + (size_t)(u * (double)(C - c));
        const int t = channels[c];
        channels[c] = channels[other];
        channels[other] = t;
    }
}

/* Whether a batch norm's scale leaves all its channels. */
static bool scales(const zs_score_run *run, const zs_node *n) {
    const int t = n->tensors[ZS_ROLE_GAMMA];
    const size_t size = t >= 0 ? run->graph->tensors[t].size : 0;
    return run->kernels->count_nonzero(size, t >= 0 ? run->weights[t] : NULL) == size;
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    const zs_node *node = &run->graph->nodes[look->node];
    const zs_shape s = look->shape;
    const size_t n = n_taken(run, s), C = (size_t)s.C, W = (size_t)s.W, pixels = W * (size_t)s.H;
    if (!look->value.p || look->first_group > 0) return;
    double *const row = m->values + run->graph->n_nodes, *const rows = row + W * C, *const corr = rows + n * pixels,
                  *const values = corr + n * n;
    int *const channels = (int *)(void *)((char *)(values + n) + zs_dense_eigenvalues_scratch_bytes(n));
    take_channels(run, look->node, n, C, channels);
    bool finite = true;
    for (int h = 0; h < s.H; h++) {
        zs_row_of_view(run->kernels, &look->value, s, 0, h, row);
        for (size_t i = 0; i < W * C; i++) finite = finite && isfinite(row[i]);
        for (size_t c = 0; c < n; c++)
            for (size_t w = 0; w < W; w++) {
                const double x = row[w * C + (size_t)channels[c]];
                rows[c * pixels + (size_t)h * W + w] = node->op == ZS_OP_RELU && x < 0 ? 0 : x;
            }
    }
    m->not_finite = m->not_finite || !finite;
    if (is_singular(run, s) || (node->op == ZS_OP_BATCH_NORM && !scales(run, node))) return;
    if (zs_correlate(n, pixels, rows, corr) != ZS_ROWS_VARY) return;
    if (zs_dense_eigenvalues(n, corr, values, values + n) == ZS_DENSE_OK)
        m->values[look->node] = values[0] * ((double)s.C / (double)n);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    for (int i = 0; i < run->graph->n_nodes; i++) run->value += m->values[i];
    if (m->not_finite) run->value = NAN;
}

const zs_score zs_score_meco = {
    .name = "meco",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
