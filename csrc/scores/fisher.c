/* Fisher information of channels (Theis et al., 2018; Turner et al., ICLR 2020). For channel c of the output a of a
   convolution or linear layer, bias included and before any batch norm, and its gradient d of the mean loss of one
   batch of n images (so d holds 1 / n)

       F_c = 1/2 mean_n (sum_hw a d)^2

   The score is the sum of all F_c, each of them repeated for every weight of its channel (zero-cost-nas) unless
   `per_channel` (the papers). The bias of the classifier is enough for a value above zero: there is no signal only if
   every product is zero. */
#include "scores/score.h"

enum { PER_CHANNEL };

static const char *const PARAMS[] = {"per_channel", NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_params = true};
}

/* The weights of a node's layer, or -1. */
static int layer_of(const zs_graph *g, int node) {
    const int t = g->nodes[node].tensors[ZS_ROLE_WEIGHT];
    return t >= 0 && g->tensors[t].counted ? t : -1;
}

static unsigned watch(const zs_score_run *run, int node) {
    return layer_of(run->graph, node) >= 0 ? ZS_WATCH_PRODUCT : 0;
}

/* What each tensor's channels add up to, then the sums of one image. */
typedef struct memory {
    bool any_nonzero;
    double sums[];
} memory;

static size_t memory_bytes(const zs_score_run *run) {
    const zs_graph *g = run->graph;
    int most = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (layer_of(g, i) >= 0 && g->nodes[i].shape.C > most) most = g->nodes[i].shape.C;
    return sizeof(memory) + (size_t)(g->n_tensors + most) * sizeof(double);
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    if (!look->value.p) return; /* zeros */
    const zs_graph *g = run->graph;
    double *of_image = m->sums + g->n_tensors, total = 0;
    for (int n = 0; n < run->group_size; n++) {
        run->kernels->product_sums(look->shape, n, n + 1, &look->value, &look->grad, of_image);
        for (int c = 0; c < look->shape.C; c++) {
            total += of_image[c] * of_image[c];
            m->any_nonzero = m->any_nonzero || of_image[c] != 0;
        }
    }
    const int t = layer_of(g, look->node);
    const double times = run->params[PER_CHANNEL] != 0 ? 1 : (double)g->tensors[t].size / g->tensors[t].O;
    m->sums[t] = times * total / (2.0 * run->group_size);
}

/* `finish` has the values. */
static double finish_tensor(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live) {
    (void)run, (void)state, (void)t, (void)counts, (void)live;
    return 0.0;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    for (int t = 0; t < run->graph->n_tensors; t++) run->value += run->tensor_values[t] = m->sums[t];
    if (m->any_nonzero) return;
    run->status = ZS_RESULT_NO_SIGNAL;
    run->reason = "every product of output and gradient is exactly zero";
}

const zs_score zs_score_fisher = {
    .name = "fisher",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish_tensor = finish_tensor,
    .finish = finish,
};
