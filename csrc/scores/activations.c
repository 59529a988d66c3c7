/* Sizes of activations (Yang et al., 2023, Fig. 11): how many of the values y that nodes put out over one batch have
   edges[e] <= |y| < edges[e+1]; the value is the count over all intervals. The text does not say which outputs it
   looks at: `which` takes

       relu  those of activation functions
       conv  those of convolutions, bias included, before any batch norm

   Edges are rounded to the engine's dtype, as those of `sweet` are. */
#include "scores/score.h"

enum { WHICH };
enum { RELU, CONV };

static const char *const PARAMS[] = {"which", NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

/* A ReLU is made here from what it reads: to watch what it puts out would change how the network runs. */
static unsigned watch(const zs_score_run *run, int node) {
    const zs_op_kind op = run->graph->nodes[node].op;
    if ((int)run->params[WHICH] == CONV) return op == ZS_OP_CONV2D ? ZS_WATCH_VALUE : 0;
    if (op == ZS_OP_RELU) return ZS_WATCH_INPUT;
    return zs_is_activation(op) ? ZS_WATCH_VALUE : 0;
}

/* Counters, [n_nodes][n_edges - 1], then a ReLU's output for one sample. */
typedef struct memory {
    size_t n_bad;
    int64_t counts[];
} memory;

static size_t values_at(const zs_score_run *run) {
    const size_t n_counts = (size_t)run->graph->n_nodes * (size_t)(run->n_edges - 1);
    return zs_round_up(sizeof(memory) + n_counts * sizeof(int64_t), ZS_ALIGN);
}

static size_t memory_bytes(const zs_score_run *run) {
    size_t most = 0;
    for (int i = 0; i < run->graph->n_nodes; i++) {
        const zs_shape s = run->graph->nodes[i].shape;
        const size_t size = (size_t)s.C * (size_t)s.H * (size_t)s.W;
        if (watch(run, i) == ZS_WATCH_INPUT && size > most) most = size;
    }
    return values_at(run) + most * zs_dtype_size(run->kernels->dtype);
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    const zs_kernels *k = run->kernels;
    const zs_shape s = look->shape;
    const zs_view *v = &look->value;
    int64_t *const counts = m->counts + (size_t)look->node * (size_t)(run->n_edges - 1);
    const int n = look->n_groups * look->group_size;
    if (!v->p) { /* zeros */
        if (run->edges[0] <= 0) counts[0] += (int64_t)n * s.C * s.H * s.W;
        return;
    }
    const ptrdiff_t real = (ptrdiff_t)zs_dtype_size(k->dtype);
    const bool relu = watch(run, look->node) == ZS_WATCH_INPUT;
    const zs_view made = {(char *)state + values_at(run), 0, (ptrdiff_t)s.W * s.C, s.C};
    const zs_view seen = relu ? made : *v;
    const bool rows = seen.sw == s.C, maps = rows && seen.sh == (ptrdiff_t)s.W * s.C; /* without gaps */
    const int H = maps ? 1 : s.H, W = rows ? 1 : s.W;
    const size_t length = (size_t)s.C * (size_t)(rows ? s.W : 1) * (size_t)(maps ? s.H : 1);
    for (int i = 0; i < n; i++) {
        char *const sample = (char *)v->p + i * v->sn * real;
        if (relu) k->relu_fwd(s, 0, 1, &(zs_view){sample, v->sn, v->sh, v->sw}, &made);
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) {
                const char *at = (relu ? (const char *)made.p : sample) + (h * seen.sh + w * seen.sw) * real;
                k->histogram(length, at, run->n_edges, run->edges, counts);
                m->n_bad += k->count_nonfinite(length, at);
            }
    }
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    const size_t n = (size_t)run->graph->n_nodes * (size_t)(run->n_edges - 1);
    for (size_t i = 0; i < n; i++) run->value += (double)(run->counts[i] = m->counts[i]);
    if (m->n_bad > 0) run->value = NAN;
}

const zs_score zs_score_activations = {
    .name = "activations",
    .params = PARAMS,
    .min_groups = 1,
    .takes_edges = true,
    .counts_nodes = true,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
