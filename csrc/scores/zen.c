/* Zen-Score (Lin et al., ICCV 2021; as ZenNAS computes it): with F the features before the global
   pool, x and noise e,

       log mean_n sum_chw |F(x) - F(x + alpha e)|  +  sum over batch norms of log sqrt(mean_c running variance)

   Two groups: the first holds x, the second x + alpha e. A running variance starts at 1 and takes the unbiased variance
   of each group with momentum 0.1. A batch norm whose input is known to be zero has seen variances of 0. With bn =
   identity batch norms are taken out, and what is left of them adds its term. */
#include "scores/features.h"

enum { BN };
enum { BN_TRAIN, BN_IDENTITY };

static const char *const PARAMS[] = {"bn", NULL};
static const double MOMENTUM = 0.1;

static zs_needs needs(const zs_score_run *run) {
    return (zs_needs){.forward_only = true, .identity_bn = (int)run->params[BN] == BN_IDENTITY};
}

static int find_pool(const zs_graph *g) {
    int i = g->n_nodes - 1;
    while (i >= 0 && g->nodes[i].op != ZS_OP_GLOBAL_AVG_POOL) i--;
    return i;
}

static const char *check(const zs_score_run *run) {
    return find_pool(run->graph) < 0 ? "the network has no global average pool" : NULL;
}

static bool has_term(const zs_score_run *run, const zs_node *n) {
    return n->op == ZS_OP_BATCH_NORM && n->attrs.bn_mode == ZS_BN_BATCH &&
           ((int)run->params[BN] == BN_TRAIN || n->attrs.bn_stays);
}

static unsigned watch(const zs_score_run *run, int node) {
    if (has_term(run, &run->graph->nodes[node])) return ZS_WATCH_STATS;
    return node == find_pool(run->graph) ? ZS_WATCH_INPUT : 0;
}

typedef struct memory {
    double total; /* sum |F(x) - F(x + alpha e)| */
    double values[]; /* by node: what batches add to the mean of the running variances; then F(x), then a row */
} memory;

static zs_shape feature_shape(const zs_score_run *run) {
    const zs_graph *g = run->graph;
    return g->nodes[zs_node_inputs(g, find_pool(g))[0]].shape;
}

static size_t feature_size(const zs_score_run *run) {
    const zs_shape s = feature_shape(run);
    return (size_t)s.C * (size_t)s.H * (size_t)s.W;
}

static size_t memory_bytes(const zs_score_run *run) {
    const zs_shape s = feature_shape(run);
    const size_t n_values = (size_t)run->graph->n_nodes + (size_t)run->group_size * feature_size(run);
    return sizeof(memory) + (n_values + (size_t)s.W * (size_t)s.C) * sizeof(double);
}

/* Values that a channel's mean goes over. */
static double samples(const zs_score_run *run, const zs_node *n) {
    return (double)run->group_size * n->shape.H * n->shape.W;
}

static void look_at_bn(const zs_score_run *run, memory *m, const zs_look *look) {
    const zs_node *n = &run->graph->nodes[look->node];
    const int C = n->shape.C;
    const double count = samples(run, n);
    for (int g = 0; look->bn && g < look->n_groups; g++) {
        const double weight = look->first_group + g == 0 ? (1 - MOMENTUM) * MOMENTUM : MOMENTUM;
        const double *rstd = look->bn->rstd + (size_t)g * (size_t)C;
        double sum = 0;
        for (int c = 0; c < C; c++) {
            const double var =
                1 / (rstd[c] * rstd[c]) - n->attrs.eps; /* what it loses counts for nothing beside 0.81 */
            sum += var > 0 ? var : 0;
        }
        m->values[look->node] += weight * (sum / C) * (count / (count - 1));
    }
}

static void look_at_features(const zs_score_run *run, memory *m, const zs_look *look) {
    const zs_shape s = look->shape;
    const size_t row = (size_t)s.W * (size_t)s.C;
    double *const kept = m->values + run->graph->n_nodes, *const now =
                                                              kept + (size_t)run->group_size * feature_size(run);
    if (!look->value.p) return;
    for (int g = 0; g < look->n_groups; g++)
        for (int n = 0; n < run->group_size; n++)
            for (int h = 0; h < s.H; h++) {
                double *const first = kept + ((size_t)n * (size_t)s.H + (size_t)h) * row;
                const bool second = look->first_group + g > 0;
                zs_row_of_view(run->kernels, &look->value, s, g * run->group_size + n, h, second ? now : first);
                for (size_t i = 0; second && i < row; i++) m->total += fabs(first[i] - now[i]);
            }
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    if (look->watch & ZS_WATCH_STATS)
        look_at_bn(run, state, look);
    else
        look_at_features(run, state, look);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    const zs_graph *g = run->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        if (!has_term(run, &g->nodes[i])) continue;
        if (samples(run, &g->nodes[i]) < 2) {
            zs_undefined(run, "one_value");
            return;
        }
        run->value += log(sqrt((1 - MOMENTUM) * (1 - MOMENTUM) + m->values[i]));
    }
    if (m->total == 0)
        zs_undefined(run, "log_of_zero");
    else
        run->value += log(m->total / run->group_size);
}

const zs_score zs_score_zen = {
    .name = "zen",
    .params = PARAMS,
    .min_groups = 2,
    .needs = needs,
    .check = check,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
