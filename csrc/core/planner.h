/* The state of planning, shared by plan*.c; nobody else includes it. */
#ifndef ZS_PLANNER_H
#define ZS_PLANNER_H

#include "core/plan.h"

typedef struct zs_planner {
    zs_plan *p;
    const zs_graph *g;
    const zs_plan_spec *s;
    bool *reaches;    /* has a path to the loss or to a seed (not through zero ops, unless dead work is asked for) */
    bool *needed;     /* that, or to what is watched */
    bool *zero;       /* known to be zero */
    int *n_readers;   /* edges that read the node, behind identities and lazy nodes */
    int *reader;      /* one of them: the edge's node */
    int *parent;      /* concat that holds the value, or -1 */
    int *parent_channel;
    bool *started;    /* by storage: its gradient has been written to */
    uint8_t *shown;   /* bits of those who watch the node's value or gradient, behind identities */
    zs_error *err;
} zs_planner;

static inline const zs_node *node_of(const zs_planner *q, int i) { return &q->g->nodes[i]; }

static inline bool has_trait(const zs_planner *q, int node, unsigned trait) {
    return node > 0 && (zs_op_get(node_of(q, node)->op)->traits & trait) != 0;
}

/* A batch norm or the tangent of one: needs sums over a group in both directions. */
static inline bool has_sums(const zs_planner *q, int node) {
    return node > 0 && zs_op_get(node_of(q, node)->op)->forward_sums;
}

static inline int last_input(const zs_planner *q, int node) { return node_of(q, node)->n_inputs - 1; }

/* Whether backward reads the value of input j, and whether it makes its gradient. */
static inline bool reads_back(const zs_planner *q, int node, int j) {
    return has_trait(q, node, ZS_BWD_READS_IN) && !(has_trait(q, node, ZS_GATE) && j == last_input(q, node));
}

static inline bool passes_gradient(const zs_planner *q, int node, int j) {
    return !has_trait(q, node, ZS_GATE) || j == last_input(q, node);
}

static inline bool has_weight_gradient(const zs_planner *q, int node) {
    const int w = zs_layer_tensors_of(node_of(q, node)).main;
    return w >= 0 && q->p->tensor_live[w];
}

static inline size_t elements_of(zs_shape s) { return (size_t)s.C * (size_t)s.H * (size_t)s.W; }

/* What the observer wants to see of a node itself. */
static inline unsigned watch_of(const zs_planner *q, int node) { return q->s->watch ? q->s->watch[node] : 0; }

/* The node whose gradient an edge adds to. */
static inline int zs_planner_target(const zs_edge_plan *e) { return e->bn >= 0 ? e->bn : e->source; }

zs_status zs_planner_recompute(zs_planner *q);
zs_status zs_planner_schedule(zs_planner *q);
void zs_planner_lifetimes(zs_planner *q); /* of storages, in steps */
void zs_planner_work(zs_planner *q);      /* multiply-adds, parts of weight gradients */
zs_status zs_planner_offsets(zs_planner *q);

#endif
