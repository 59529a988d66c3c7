/* NASWOT (Mellor et al., ICML 2021): log |det K|, K_ij the number of ReLU units on which images i and j agree, for the
   images of one batch. `which` takes

       all       every ReLU on maps
       reached   those with a path to the logits in the graph, be it through an operation that multiplies by zero
       wrappers  these, and once more each that feeds a convolution: the released code picks modules by "ReLU" in the
                 name of their type, and ReLUConvBN has that, too

   K is made of integers, exact in double. Images with equal patterns make it singular. */
#include <float.h>
#include <string.h>

#include "core/dense.h"
#include "scores/relu_bits.h"

enum { WHICH };
enum { ALL, REACHED, WRAPPERS };

static const char *const PARAMS[] = {"which", NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

/* How often a node enters K. */
static int times(const zs_score_run *run, int node) {
    const zs_graph *g = run->graph;
    const int which = (int)run->params[WHICH];
    if (!zs_is_map_relu(&g->nodes[node])) return 0;
    if (which == ALL) return 1;
    if (!g->nodes[node].reached) return 0;
    for (int i = node + 1; which == WRAPPERS && i < g->n_nodes; i++)
        if (g->nodes[i].op == ZS_OP_CONV2D && zs_node_inputs(g, i)[0] == node) return 2;
    return 1;
}

static unsigned watch(const zs_score_run *run, int node) { return times(run, node) > 0 ? ZS_WATCH_INPUT : 0; }

/* Disagreements of pairs and units of all, then bits of one ReLU, then what algebra needs. */
typedef struct memory {
    int64_t units;
    double k[];
} memory;

static size_t most_words(const zs_score_run *run) {
    size_t most = 0;
    for (int i = 0; i < run->graph->n_nodes; i++) {
        const size_t words = times(run, i) > 0 ? zs_relu_words(run->graph->nodes[i].shape) : 0;
        if (words > most) most = words;
    }
    return most;
}

static size_t memory_bytes(const zs_score_run *run) {
    const size_t n = (size_t)run->group_size;
    const size_t bits = n * most_words(run) * sizeof(uint64_t);
    const size_t algebra = (n * n + n) * sizeof(double) + zs_dense_eigenvalues_scratch_bytes(n);
    return sizeof(memory) + n * n * sizeof(double) + (bits > algebra ? bits : algebra);
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    const int n = run->group_size, factor = times(run, look->node);
    const zs_shape s = run->graph->nodes[look->node].shape;
    m->units += factor * (int64_t)s.C * s.H * s.W;
    if (!look->value.p) return; /* all off, for all images */
    uint64_t *bits = (uint64_t *)(void *)(m->k + n * n);
    const size_t stride = zs_relu_words(s);
    const zs_relu_rows rows = zs_relu_bits(run->kernels, look, 0, n, bits);
    const size_t words = rows.n_runs * rows.run_words;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            m->k[i * n + j] +=
                (double)(factor * run->kernels->hamming(words, bits + (size_t)i * stride, bits + (size_t)j * stride));
}

static void finish(zs_score_run *run, const zs_finish *f) {
    memory *m = f->memory;
    const size_t n = (size_t)run->group_size;
    if (m->units == 0) {
        zs_undefined(run, "no_relu");
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) m->k[i * n + j] = (double)m->units - m->k[i * n + j];
    double *copy = m->k + n * n, *values = copy + n * n;
    memcpy(copy, m->k, n * n * sizeof *copy);
    const zs_dense_result result = zs_dense_eigenvalues(n, copy, values, values + n);
    if (result != ZS_DENSE_OK || values[0] <= (double)n * DBL_EPSILON * values[n - 1] ||
        zs_dense_cholesky(n, m->k, &run->value) != ZS_DENSE_OK)
        zs_undefined(run, "singular");
}

const zs_score zs_score_naswot = {
    .name = "naswot",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
