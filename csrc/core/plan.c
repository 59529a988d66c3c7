/* What runs, where values and gradients lie, and who writes which gradient first. What is made again:
   plan_recompute.c; the order: plan_schedule.c; sizes and offsets: plan_memory.c. */
#include <string.h>

#include "core/planner.h"

static const zs_place NOWHERE = {.storage = -1};

static bool is_identity_bn(const zs_planner *q, const zs_node *n) {
    return (n->op == ZS_OP_BATCH_NORM || n->op == ZS_OP_BATCH_NORM_TANGENT) &&
           (n->attrs.bn_mode == ZS_BN_IDENTITY || (q->s->identity_bn && !n->attrs.bn_stays));
}

/* The input that a node passes on as it is, or -1: identities, and sums that have one term left. */
static int passes_on(const zs_planner *q, int node) {
    const zs_node *n = node_of(q, node);
    const int *in = zs_node_inputs(q->g, node);
    if (n->op == ZS_OP_IDENTITY || is_identity_bn(q, n)) return in[n->n_inputs - 1];
    if (n->op != ZS_OP_ADD || (watch_of(q, node) & ~(unsigned)ZS_WATCH_INPUT)) return -1;
    int only = -1;
    for (int j = 0; j < n->n_inputs; j++) {
        if (q->zero[in[j]]) continue;
        if (only >= 0 || q->g->coefs[n->first_input + j] != 1.0) return -1;
        only = in[j];
    }
    return only;
}

/* The node whose value is read where `node` is named. */
static int behind(const zs_planner *q, int node) {
    while (node > 0 && !q->zero[node] && passes_on(q, node) >= 0) node = passes_on(q, node);
    return node;
}

/* The node whose value and gradient stand for what is watched at `node`. */
static int shown_by(const zs_planner *q, int node) {
    return behind(q, watch_of(q, node) & ZS_WATCH_INPUT ? zs_node_inputs(q->g, node)[0] : node);
}

/* A bias of zeros gets a gradient all the same, if that is asked for. */
static bool tensor_is_zero(const zs_planner *q, int tensor) {
    return tensor < 0 || (q->s->tensor_zero && q->s->tensor_zero[tensor] && q->s->params != ZS_PARAMS_ALL);
}

/* 1. What can reach the loss, and what is known to be zero. */
static void find_live(zs_planner *q) {
    const zs_graph *g = q->g;
    const bool dead = q->s->dead;
    bool *path = q->started; /* borrowed: from the image, through no zero op */
    path[0] = true;
    for (int i = 1; i < g->n_nodes; i++) {
        const zs_node *n = node_of(q, i);
        const int *in = zs_node_inputs(g, i);
        bool all_zero = true, any_zero = false;
        for (int j = 0; j < n->n_inputs; j++) {
            all_zero = all_zero && q->zero[in[j]];
            any_zero = any_zero || q->zero[in[j]];
            path[i] = path[i] || (path[in[j]] && n->op != ZS_OP_ZERO);
        }
        if (has_trait(q, i, ZS_TANGENT)) all_zero = q->zero[in[n->n_inputs - 1]];
        if (n->op == ZS_OP_MULTIPLY) all_zero = any_zero;
        const bool keeps = is_identity_bn(q, n) || has_trait(q, i, ZS_TANGENT) ||
                           (has_trait(q, i, ZS_KEEPS_ZERO) && tensor_is_zero(q, n->tensors[ZS_ROLE_BIAS]) &&
                            tensor_is_zero(q, n->tensors[ZS_ROLE_BETA]) &&
                            (n->op != ZS_OP_BATCH_NORM || n->attrs.bn_mode != ZS_BN_RUNNING));
        q->zero[i] = !dead && (n->op == ZS_OP_ZERO || (all_zero && keeps));
    }
    q->p->has_path = path[g->n_nodes - 1];
    memset(path, 0, (size_t)g->n_nodes * sizeof *path);

    for (int i = 0; i < g->n_nodes; i++) {
        const unsigned watch = watch_of(q, i) & ~(unsigned)ZS_WATCH_STATS;
        const int shown = shown_by(q, i);
        if (watch) q->shown[shown] |= (uint8_t)watch;
        if (watch & ZS_WATCH_SEED) q->reaches[shown] = true;
        q->needed[shown] = q->needed[shown] || watch;
        q->needed[i] = q->needed[i] || (watch_of(q, i) & ZS_WATCH_STATS);
    }
    q->reaches[g->n_nodes - 1] = q->needed[g->n_nodes - 1] = true;
    for (int i = g->n_nodes - 1; i > 0; i--) {
        if (!dead && (node_of(q, i)->op == ZS_OP_ZERO || q->zero[i])) continue;
        const int *in = zs_node_inputs(g, i);
        for (int j = 0; j < node_of(q, i)->n_inputs; j++) {
            q->reaches[in[j]] = q->reaches[in[j]] || q->reaches[i];
            q->needed[in[j]] = q->needed[in[j]] || q->needed[i] || q->reaches[i];
        }
    }
}

/* 2. What runs, is filled, is read through. `source` of every edge. */
static bool runs(const zs_planner *q, int i) { return (q->needed[i] || q->s->dead) && !q->zero[i]; }

static bool is_view(zs_op_kind op) { return op == ZS_OP_SHIFT || op == ZS_OP_SLICE_CHANNELS; }

static void find_sources(zs_planner *q) {
    const zs_graph *g = q->g;
    for (int i = 0; i < g->n_nodes; i++) {
        zs_node_plan *np = &q->p->nodes[i];
        *np = (zs_node_plan){
            .kind = ZS_NODE_SKIP, .value = NOWHERE, .kept = NOWHERE, .grad = NOWHERE, .shown = shown_by(q, i)};
        if (i == 0 || runs(q, i)) np->kind = ZS_NODE_RUN;
        if (i > 0 && np->kind == ZS_NODE_RUN) {
            if (passes_on(q, i) >= 0) np->kind = ZS_NODE_SKIP; /* looked through */
            if (is_view(node_of(q, i)->op)) np->kind = ZS_NODE_VIEW;
        }
    }
    for (int i = 1; i < g->n_nodes; i++) {
        const zs_node *n = node_of(q, i);
        for (int j = 0; j < n->n_inputs; j++) {
            zs_edge_plan *e = &q->p->edges[n->first_input + j];
            *e = (zs_edge_plan){.source = behind(q, g->inputs[n->first_input + j]), .bn = -1, .dx = NOWHERE};
        }
    }
    q->p->output = behind(q, g->n_nodes - 1);
}

/* A sum drops the terms that are known to be zero; other readers of such a node need the zeros. */
static void count_readers(zs_planner *q) {
    memset(q->n_readers, 0, (size_t)q->g->n_nodes * sizeof *q->n_readers);
    for (int i = 1; i < q->g->n_nodes; i++) {
        if (q->p->nodes[i].kind == ZS_NODE_SKIP) continue;
        const zs_node *n = node_of(q, i);
        if (q->p->nodes[i].kind == ZS_NODE_LAZY && n->op == ZS_OP_RELU) continue; /* its readers read */
        for (int j = 0; j < n->n_inputs; j++) {
            zs_edge_plan *e = &q->p->edges[n->first_input + j];
            e->dropped = q->zero[e->source] && n->op == ZS_OP_ADD;
            if (e->dropped || e->bn >= 0) continue; /* a lazy batch norm counts itself */
            q->n_readers[e->source]++;
            q->reader[e->source] = i;
        }
    }
    q->n_readers[q->p->output]++; /* the loss */
    q->reader[q->p->output] = -1;
}

/* What leads nowhere runs where it is watched: it counts as a reader of batch norms in any case, so that watching does
   not change by whom they are applied, and with it the rounding of sums. */
static bool may_run(const zs_planner *q, int i) { return !q->zero[i] && passes_on(q, i) < 0; }

static bool all_readers_have(const zs_planner *q, int node, unsigned trait) {
    if (node == q->p->output) return false;
    bool any = false;
    for (int i = 1; i < q->g->n_nodes; i++) {
        if (q->p->nodes[i].kind == ZS_NODE_SKIP && (trait != ZS_READS_BN || !may_run(q, i))) continue;
        const zs_node *n = node_of(q, i);
        for (int j = 0; j < n->n_inputs; j++)
            if (q->p->edges[n->first_input + j].source == node) {
                if (!has_trait(q, i, trait)) return false;
                any = any || q->p->nodes[i].kind != ZS_NODE_SKIP;
            }
    }
    return any;
}

static void find_lazy(zs_planner *q) {
    for (int i = 1; i < q->g->n_nodes; i++) {
        zs_node_plan *np = &q->p->nodes[i];
        const zs_node *n = node_of(q, i);
        const unsigned trait = n->op == ZS_OP_RELU ? ZS_READS_RELU : n->op == ZS_OP_BATCH_NORM ? ZS_READS_BN : 0;
        if (np->kind != ZS_NODE_RUN || !trait || q->shown[i]) continue;
        const zs_edge_plan *own = &q->p->edges[n->first_input];
        if (q->zero[own->source] || own->relu || own->bn >= 0 || !all_readers_have(q, i, trait)) continue;
        np->kind = ZS_NODE_LAZY;
        for (int e = 0; e < q->g->n_inputs; e++)
            if (q->p->edges[e].source == i) {
                q->p->edges[e].source = own->source;
                if (n->op == ZS_OP_RELU)
                    q->p->edges[e].relu = true;
                else
                    q->p->edges[e].bn = i;
            }
    }
    /* what is known to be zero but has a reader that cannot drop it */
    count_readers(q);
    for (int i = 1; i < q->g->n_nodes; i++)
        if (q->zero[i] && q->n_readers[i] > 0) q->p->nodes[i].kind = ZS_NODE_FILL;
}

/* 3. Which gradients are wanted: those of nodes with a counted weight, or a watched gradient, at or before them. */
static void find_wanted(zs_planner *q) {
    const zs_graph *g = q->g;
    if (!q->s->backward) return;
    q->p->nodes[0].wants_grad = q->reaches[0] && (q->shown[0] & ZS_WATCH_BACKWARD);
    for (int i = 1; i < g->n_nodes; i++) {
        zs_node_plan *np = &q->p->nodes[i];
        const zs_node *n = node_of(q, i);
        if (np->kind == ZS_NODE_SKIP || np->kind == ZS_NODE_FILL || !q->reaches[i]) continue;
        for (int r = 0; r <= ZS_ROLE_BETA; r++) {
            const int t = n->tensors[r];
            if (t < 0 || q->s->params == ZS_PARAMS_NONE) continue;
            if (g->tensors[t].counted || q->s->params == ZS_PARAMS_ALL) np->wants_grad = q->p->tensor_live[t] = true;
        }
        if (q->shown[i] & ZS_WATCH_BACKWARD) np->wants_grad = true;
        /* behind a lazy node stands its source, which the original edge names */
        for (int j = 0; j < n->n_inputs; j++) {
            if (!passes_gradient(q, i, j)) continue;
            const zs_edge_plan *e = &q->p->edges[n->first_input + j];
            if (q->p->nodes[e->source].wants_grad || (e->bn >= 0 && q->p->nodes[e->bn].wants_grad))
                np->wants_grad = true;
        }
    }
}

static int new_storage(zs_planner *q, size_t elements) {
    zs_plan *p = q->p;
    p->storages[p->n_storages] = (zs_storage){.elements = elements, .first = INT32_MAX, .last = -1};
    return p->n_storages++;
}

static zs_place dense(zs_planner *q, zs_shape s) {
    return (zs_place){new_storage(q, elements_of(s)), 0, (ptrdiff_t)s.W * s.C, s.C};
}

/* 4. Where values lie. */
static void find_parents(zs_planner *q) {
    const zs_graph *g = q->g;
    for (int i = 0; i < g->n_nodes; i++) q->parent[i] = -1;
    for (int i = 1; i < g->n_nodes; i++) {
        const zs_node *n = node_of(q, i);
        if (n->op != ZS_OP_CONCAT || q->p->nodes[i].kind != ZS_NODE_RUN) continue;
        for (int j = 0, channel = 0; j < n->n_inputs; j++) {
            const zs_edge_plan *e = &q->p->edges[n->first_input + j];
            const int from = e->source;
            if (from > 0 && q->parent[from] < 0 && q->p->nodes[from].kind == ZS_NODE_RUN) {
                q->parent[from] = i;
                q->parent_channel[from] = channel;
            }
            channel += node_of(q, zs_node_inputs(g, i)[j])->shape.C;
        }
    }
}

static zs_place viewed(const zs_node *view, zs_place v) {
    if (view->op == ZS_OP_SHIFT) v.offset += (size_t)(v.sh + v.sw);
    if (view->op == ZS_OP_SLICE_CHANNELS) v.offset += (size_t)view->attrs.start;
    return v;
}

static zs_place sliced(zs_place v, int channel) {
    v.offset += (size_t)channel;
    return v;
}

/* A concat comes before its parts, a source before its views. */
static void place_values(zs_planner *q) {
    for (int i = q->g->n_nodes - 1; i >= 0; i--) {
        zs_node_plan *np = &q->p->nodes[i];
        if (np->kind != ZS_NODE_RUN && np->kind != ZS_NODE_FILL) continue;
        const zs_node_plan *parent = i > 0 && q->parent[i] >= 0 ? &q->p->nodes[q->parent[i]] : NULL;
        const zs_shape shape = node_of(q, i)->shape;
        np->value = parent ? sliced(parent->value, q->parent_channel[i]) : dense(q, shape);
        np->kept = !np->remade                ? np->value
                   : parent && parent->remade ? sliced(parent->kept, q->parent_channel[i])
                                              : dense(q, shape);
    }
    for (int i = 1; i < q->g->n_nodes; i++) {
        zs_node_plan *np = &q->p->nodes[i];
        if (np->kind != ZS_NODE_VIEW) continue;
        const zs_node_plan *source = &q->p->nodes[q->p->edges[node_of(q, i)->first_input].source];
        np->value = viewed(node_of(q, i), source->value);
        np->kept = viewed(node_of(q, i), source->kept);
    }
}

/* 5. Where gradients lie. Nodes in backward order. */

/* Whether nobody but the concatenation reads what lies inside it, so that its gradient may lie where another node's
   does; and, if it is overwritten, whether backward has no need of the parts' values either. */
static bool parts_are_private(const zs_planner *q, int concat, bool overwritten) {
    const zs_node *n = node_of(q, concat);
    for (int j = 0; n->op == ZS_OP_CONCAT && j < n->n_inputs; j++) {
        const int part = q->p->edges[n->first_input + j].source;
        if (q->parent[part] != concat) continue;
        const bool needed = has_trait(q, part, ZS_BWD_READS_OUT) || (q->shown[part] & ZS_WATCH_BACKWARD);
        if (q->n_readers[part] != 1 || (overwritten && needed) || !parts_are_private(q, part, overwritten))
            return false;
    }
    return true;
}

/* A batch norm that alone reads its input writes the gradient over it: backward reads both element by element. */
static bool replaces_value(const zs_planner *q, int i) {
    if (i == 0 || q->p->nodes[i].kind != ZS_NODE_RUN || q->parent[i] >= 0 || q->s->retain) return false;
    if (q->shown[i] & ZS_WATCH_BACKWARD) return false;
    if (q->n_readers[i] != 1 || q->reader[i] < 0 || has_trait(q, i, ZS_BWD_READS_OUT)) return false;
    return node_of(q, q->reader[i])->op == ZS_OP_BATCH_NORM && q->p->nodes[q->reader[i]].wants_grad &&
           parts_are_private(q, i, true);
}

static void place_gradients(zs_planner *q) {
    const zs_graph *g = q->g;
    zs_plan *p = q->p;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        zs_node_plan *np = &p->nodes[i];
        const zs_node *n = node_of(q, i);
        if (!np->wants_grad || (np->kind == ZS_NODE_LAZY && n->op == ZS_OP_RELU)) continue;
        const int reader = q->n_readers[i] == 1 ? q->reader[i] : -1;
        if (q->shown[i] & ZS_WATCH_SEED) { /* nobody else's */
            np->grad = dense(q, n->shape);
            continue;
        }
        if (replaces_value(q, i)) {
            np->grad = np->kept;
            continue;
        }
        if (np->kind == ZS_NODE_VIEW) continue; /* below, when its source has a place */
        /* a lazy batch norm that one sum alone reads has the sum's gradient; what else reads it makes one */
        if (np->kind == ZS_NODE_LAZY) {
            int n_sums = 0, sum = -1;
            double coef = 0;
            for (int k = 1; k < g->n_nodes; k++)
                for (int j = 0; p->nodes[k].kind == ZS_NODE_RUN && j < node_of(q, k)->n_inputs; j++)
                    if (p->edges[node_of(q, k)->first_input + j].bn == i) {
                        n_sums++;
                        sum = k;
                        coef = g->coefs[node_of(q, k)->first_input + j];
                    }
            if (n_sums == 1 && coef == 1.0 && node_of(q, sum)->op == ZS_OP_ADD && p->nodes[sum].wants_grad)
                np->grad = p->nodes[sum].grad;
            else
                np->grad = dense(q, n->shape);
            continue;
        }
        if (q->parent[i] >= 0 && p->nodes[q->parent[i]].wants_grad) {
            np->grad = sliced(p->nodes[q->parent[i]].grad, q->parent_channel[i]);
            continue;
        }
        if (reader > 0 && node_of(q, reader)->op == ZS_OP_ADD && p->nodes[reader].wants_grad &&
            parts_are_private(q, i, false)) {
            const zs_node *sum = node_of(q, reader);
            for (int j = 0; j < sum->n_inputs; j++) {
                const zs_edge_plan *e = &p->edges[sum->first_input + j];
                if (e->source == i && e->bn < 0 && g->coefs[sum->first_input + j] == 1.0)
                    np->grad = p->nodes[reader].grad;
            }
        }
        if (np->grad.storage < 0) np->grad = dense(q, n->shape);
    }
    for (int i = 1; i < g->n_nodes; i++) { /* sources come before their views */
        zs_node_plan *np = &p->nodes[i];
        if (np->wants_grad && np->kind == ZS_NODE_VIEW) {
            const zs_node_plan *source = &p->nodes[p->edges[node_of(q, i)->first_input].source];
            if (source->grad.storage >= 0) np->grad = viewed(node_of(q, i), source->grad);
        }
    }
}

static bool same_place(zs_place a, zs_place b) {
    return a.storage == b.storage && a.offset == b.offset && a.sh == b.sh && a.sw == b.sw;
}

static bool covers_storage(const zs_planner *q, zs_place place, zs_shape shape) {
    return place.offset == 0 && elements_of(shape) == q->p->storages[place.storage].elements;
}

static void route_gradients(zs_planner *q) {
    zs_plan *p = q->p;
    for (int i = 1; i < q->g->n_nodes; i++) {
        const zs_node *n = node_of(q, i);
        const zs_node_plan *np = &p->nodes[i];
        if (!np->wants_grad || np->kind == ZS_NODE_VIEW || np->kind == ZS_NODE_SKIP) continue;
        if (np->kind == ZS_NODE_LAZY && n->op == ZS_OP_RELU) continue;
        for (int j = 0, channel = 0; j < n->n_inputs; channel += node_of(q, zs_node_inputs(q->g, i)[j])->shape.C, j++) {
            zs_edge_plan *e = &p->edges[n->first_input + j];
            const zs_node_plan *tp = &p->nodes[zs_planner_target(e)];
            if (!tp->wants_grad || tp->grad.storage < 0 || !passes_gradient(q, i, j)) continue;
            if (n->op == ZS_OP_ADD && same_place(tp->grad, np->grad)) continue;
            if (n->op == ZS_OP_CONCAT && same_place(tp->grad, sliced(np->grad, channel))) continue;
            e->dx = tp->grad;
        }
    }
}

/* A call as far as it is known before anything has a place. */
zs_call zs_plan_sizing_call(const zs_plan *p, int node, zs_operand *in) {
    const zs_node *n = &p->graph->nodes[node];
    const zs_edge_plan *e = &p->edges[n->first_input];
    *in = (zs_operand){.shape = p->graph->nodes[zs_node_inputs(p->graph, node)[0]].shape, .relu = e->relu};
    return (zs_call){.k = p->spec.kernels, .node = n, .in = in, .n_in = 1, .algo = p->spec.algo};
}

static void find_fused(zs_planner *q) {
    for (int i = 1; i < q->g->n_nodes; i++) {
        zs_node_plan *np = &q->p->nodes[i];
        const zs_op *op = zs_op_get(node_of(q, i)->op);
        if (np->kind != ZS_NODE_RUN || !has_weight_gradient(q, i) || !op->fuses) continue;
        zs_operand in;
        const zs_call call = zs_plan_sizing_call(q->p, i, &in);
        np->fuses = op->fuses(&call) && q->p->edges[node_of(q, i)->first_input].dx.storage >= 0;
    }
}

/* 6. Once the order is known: whether a gradient overwrites, adds, or clears the whole storage before it adds. */
static void start_gradients(zs_planner *q) {
    zs_plan *p = q->p;
    if (p->nodes[p->output].wants_grad) q->started[p->nodes[p->output].grad.storage] = true;
    for (int f = 0; f < p->n_phases; f++) {
        const int i = p->phases[f].node;
        const zs_node *n = node_of(q, i);
        if (p->phases[f].kind != (p->nodes[i].fuses ? ZS_PHASE_WEIGHTS : ZS_PHASE_BACKWARD)) continue;
        for (int j = 0; j < n->n_inputs; j++) {
            zs_edge_plan *e = &p->edges[n->first_input + j];
            const int to = zs_planner_target(e);
            if (e->dx.storage < 0 || replaces_value(q, to)) continue;
            bool *started = &q->started[e->dx.storage];
            e->add = *started || !covers_storage(q, e->dx, node_of(q, to)->shape);
            e->clear = e->add && !*started;
            *started = true;
        }
    }
}

/* Bytes of all activations must stay far from overflow before any product is formed. */
static zs_status check_sizes(zs_planner *q) {
    const size_t samples = (size_t)q->s->group_size * (size_t)q->s->n_groups;
    size_t total = 0, all;
    for (int i = 0; i < q->g->n_nodes; i++)
        if (samples > INT32_MAX / 2 || !zs_mul_ok(elements_of(node_of(q, i)->shape), samples, &all) ||
            !zs_mul_ok(all, 4 * sizeof(double), &all) || !zs_add_ok(total, all, &total) || total > SIZE_MAX / 4)
            return zs_fail(q->err, ZS_EINVAL, "x: activations of %zu samples overflow at node '%s'", samples,
                           node_of(q, i)->name);
    return ZS_OK;
}

void zs_plan_free(zs_plan *p) {
    if (!p) return;
    zs_free(p->nodes);
    zs_free(p->edges);
    zs_free(p->tensor_live);
    zs_free(p->storages);
    zs_free(p->phases);
    zs_free(p->steps);
    zs_free(p);
}

zs_status zs_plan_make(const zs_graph *graph, const zs_plan_spec *spec, zs_plan **plan, zs_error *err) {
    const size_t n = (size_t)graph->n_nodes;
    zs_planner q = {.g = graph, .s = spec, .err = err};
    zs_plan *p = q.p = zs_calloc(1, sizeof *p);
    *plan = NULL;
    if (!p) return zs_fail(err, ZS_ENOMEM, "out of memory while planning");
    p->spec = *spec;
    p->graph = graph;
    p->nodes = zs_calloc(n, sizeof *p->nodes);
    p->edges = zs_calloc((size_t)graph->n_inputs, sizeof *p->edges);
    p->tensor_live = zs_calloc((size_t)graph->n_tensors, sizeof *p->tensor_live);
    p->storages = zs_calloc(3 * n, sizeof *p->storages);
    p->phases = zs_calloc(8 * n + 1,
                          sizeof *p->phases); /* fill or sums, forward; remake, sums, backward, weights; looks; loss */
    p->steps = zs_calloc(8 * n + 4, sizeof *p->steps);
    q.reaches = zs_calloc(n, sizeof *q.reaches);
    q.needed = zs_calloc(n, sizeof *q.needed);
    q.shown = zs_calloc(n, sizeof *q.shown);
    q.zero = zs_calloc(n, sizeof *q.zero);
    q.n_readers = zs_calloc(n, sizeof *q.n_readers);
    q.reader = zs_calloc(n, sizeof *q.reader);
    q.parent = zs_calloc(n, sizeof *q.parent);
    q.parent_channel = zs_calloc(n, sizeof *q.parent_channel);
    q.started = zs_calloc(3 * n, sizeof *q.started);
    if (!p->nodes || !p->edges || !p->tensor_live || !p->storages || !p->phases || !p->steps || !q.reaches || !q.zero ||
        !q.needed || !q.shown || !q.n_readers || !q.reader || !q.parent || !q.parent_channel || !q.started) {
        zs_fail(err, ZS_ENOMEM, "out of memory while planning");
        goto done;
    }
    if (check_sizes(&q) != ZS_OK) goto done;
    find_live(&q);
    find_sources(&q);
    find_lazy(&q);
    find_wanted(&q);
    find_parents(&q);
    if (zs_planner_recompute(&q) != ZS_OK) goto done;
    place_values(&q);
    place_gradients(&q);
    route_gradients(&q);
    find_fused(&q);
    if (zs_planner_schedule(&q) != ZS_OK) goto done;
    start_gradients(&q);
    zs_planner_lifetimes(&q);
    zs_planner_work(&q);
    zs_planner_offsets(&q);
done:
    zs_free(q.reaches);
    zs_free(q.needed);
    zs_free(q.shown);
    zs_free(q.zero);
    zs_free(q.n_readers);
    zs_free(q.reader);
    zs_free(q.parent);
    zs_free(q.parent_channel);
    zs_free(q.started);
    if (err->status != ZS_OK)
        zs_plan_free(p);
    else
        *plan = p;
    return err->status;
}
