#include "core/engine.h"

#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static const char *const LOSS_NAMES[ZS_N_LOSSES] = {"cross_entropy", "sum_logits"};

const char *zs_loss_name(zs_loss loss) { return LOSS_NAMES[loss]; }

int zs_loss_by_name(const char *name) {
    for (int i = 0; i < ZS_N_LOSSES; i++)
        if (strcmp(LOSS_NAMES[i], name) == 0) return i;
    return -1;
}

/* Below this many multiply-adds forward a pass takes less time than threads take to meet at every step. */
#define MIN_SHARED_MACS ((int64_t)20 * 1000 * 1000)

/* --- layout ------------------------------------------------------------------------------------------------------ */

void zs_weights_layout(zs_weights *w, const zs_graph *graph, zs_dtype dtype, zs_arena *arena) {
    void **tensors = zs_arena_take_array(arena, (size_t)graph->n_tensors, sizeof *tensors);
    for (int i = 0; i < graph->n_tensors; i++) {
        void *p = zs_arena_take_array(arena, graph->tensors[i].size, zs_dtype_size(dtype));
        if (tensors) tensors[i] = p;
    }
    w->tensors = tensors;
}

static zs_view view_of(const zs_engine *e, zs_place place) {
    if (place.storage < 0) return (zs_view){0};
    const zs_storage *s = &e->plan->storages[place.storage];
    const size_t real = zs_dtype_size(e->exec->kernels->dtype);
    return (zs_view){.p = e->pool ? e->pool + s->offset + place.offset * real : NULL,
                     .sn = (ptrdiff_t)s->elements,
                     .sh = place.sh,
                     .sw = place.sw};
}

static void bind_operands(zs_engine *e, int node, bool back, zs_call *c, zs_operand *in) {
    const zs_graph *g = e->graph;
    const zs_node *n = &g->nodes[node];
    c->in = in;
    c->n_in = 0;
    for (int j = 0; j < n->n_inputs; j++) {
        const zs_edge_plan *edge = &e->plan->edges[n->first_input + j];
        if (edge->dropped) continue;
        const zs_node_plan *source = &e->plan->nodes[edge->source];
        zs_operand *o = &in[c->n_in++];
        *o = (zs_operand){.x = view_of(e, back ? source->kept : source->value),
                          .shape = g->nodes[zs_node_inputs(g, node)[j]].shape,
                          .relu = edge->relu,
                          .bn = edge->bn >= 0 ? e->calls[edge->bn].bn.coef : NULL,
                          .coef = g->coefs[n->first_input + j],
                          .dx = view_of(e, edge->dx),
                          .add = edge->add,
                          .clear = edge->clear};
        if (edge->clear) { /* the whole storage */
            const zs_storage *s = &e->plan->storages[edge->dx.storage];
            o->clear_shape = (zs_shape){(int)s->elements, 1, 1};
            o->clear_view = view_of(e, (zs_place){.storage = edge->dx.storage});
        }
    }
}

static void bind(zs_engine *e, bool back, zs_call *calls, zs_operand *operands) {
    for (int i = 0; i < e->graph->n_nodes; i++) {
        const zs_node_plan *np = &e->plan->nodes[i];
        zs_call *c = &calls[i];
        *c = e->calls[i];
        c->y = view_of(e, back ? np->kept : np->value);
        c->dy = np->wants_grad ? view_of(e, np->grad) : (zs_view){0};
        if (i > 0) bind_operands(e, i, back, c, operands + e->graph->nodes[i].first_input);
    }
}

static zs_call *call_of(const zs_engine *e, const zs_phase *phase) {
    return phase->kind < ZS_PHASE_REMAKE ? &e->calls[phase->node] : &e->back_calls[phase->node];
}

static void bind_packed(zs_engine *e) {
    for (int f = 0; f < e->plan->n_phases; f++) {
        const zs_phase *phase = &e->plan->phases[f];
        if (!phase->packs) continue;
        zs_call *c = call_of(e, phase);
        *(phase->back ? &c->packed_back : &c->packed) = e->packed + phase->packed;
    }
}

static void layout_bn(zs_engine *e, int node, zs_arena *arena) {
    const zs_plan *p = e->plan;
    const size_t C = (size_t)e->graph->nodes[node].shape.C, G = (size_t)p->spec.n_groups;
    const size_t real = zs_dtype_size(p->spec.kernels->dtype);
    const bool tangent = e->graph->nodes[node].op == ZS_OP_BATCH_NORM_TANGENT;
    const size_t partials = tangent ? 4 : 2, coefs = tangent ? 5 : 3, back_coefs = tangent ? 12 : 4;
    zs_bn_state s;
    s.partial = zs_arena_take_array(arena, G * (size_t)p->nodes[node].blocks * partials * C, sizeof(double));
    s.mean = zs_arena_take_array(arena, G * C, sizeof(double));
    s.rstd = zs_arena_take_array(arena, G * C, sizeof(double));
    s.d_beta = zs_arena_take_array(arena, G * C, sizeof(double));
    s.d_gamma = zs_arena_take_array(arena, G * C, sizeof(double));
    s.host = zs_arena_take_array(arena, back_coefs * C, sizeof(double));
    s.coef = zs_arena_take_array(arena, G * coefs * C, real);
    s.coef_bwd = zs_arena_take_array(arena, G * back_coefs * C, real);
    if (!e->calls) return;
    e->calls[node].bn = s;
    if (tangent) e->calls[node].primal = &e->calls[e->graph->nodes[node].attrs.primal].bn;
}

static bool is_used(const zs_plan *p, int node) {
    return p->nodes[node].kind == ZS_NODE_RUN || p->nodes[node].kind == ZS_NODE_LAZY;
}

void zs_engine_layout(zs_engine *e, zs_arena *arena) {
    const zs_plan *p = e->plan;
    const size_t n_nodes = (size_t)e->graph->n_nodes, samples = (size_t)p->spec.group_size * (size_t)p->spec.n_groups;
    e->calls = zs_arena_take_array(arena, n_nodes, sizeof *e->calls);
    e->operands = zs_arena_take_array(arena, (size_t)e->graph->n_inputs, sizeof *e->operands);
    e->back_calls = zs_arena_take_array(arena, n_nodes, sizeof *e->back_calls);
    e->back_operands = zs_arena_take_array(arena, (size_t)e->graph->n_inputs, sizeof *e->back_operands);
    e->sample_loss = zs_arena_take_array(arena, samples, sizeof(double));
    e->labels = zs_arena_take_array(arena, samples, sizeof(int64_t));
    if (e->calls) memset(e->calls, 0, n_nodes * sizeof *e->calls);
    e->scratch_bytes = 0;
    const bool small = p->macs < MIN_SHARED_MACS / (int64_t)samples;
    e->n_threads = e->exec->spare_small && (small || e->is_short) ? 1 : e->exec->n_threads;
    for (int i = 1; i < e->graph->n_nodes; i++) {
        const zs_node *n = &e->graph->nodes[i];
        const zs_op *op = zs_op_get(n->op);
        if (e->calls) {
            zs_call *c = &e->calls[i];
            *c = (zs_call){.k = p->spec.kernels,
                           .node = n,
                           .group_size = p->spec.group_size,
                           .n_groups = p->spec.n_groups,
                           .wants_param_grad = p->spec.params == ZS_PARAMS_ALL,
                           .algo = p->spec.algo};
            for (int r = 0; r < ZS_N_ROLES; r++)
                c->param[r] = n->tensors[r] >= 0 ? e->weights.tensors[n->tensors[r]] : NULL;
        }
        if (!is_used(p, i)) continue;
        if (op->forward_sums) layout_bn(e, i, arena);
        zs_operand in;
        const zs_call sizing = zs_plan_sizing_call(p, i, &in);
        if (op->scratch_bytes) {
            const size_t wanted = zs_round_up(op->scratch_bytes(&sizing), ZS_ALIGN);
            if (wanted > e->scratch_bytes) e->scratch_bytes = wanted;
        }
    }
}

size_t zs_engine_shared_bytes(zs_engine *e) {
    const zs_plan *p = e->plan;
    return p->pool_bytes + p->partial_bytes + p->packed_bytes + (size_t)e->n_threads * e->scratch_bytes + 4 * ZS_ALIGN;
}

void zs_engine_share(zs_engine *e, char *base) {
    e->pool = base;
    e->partial = base + zs_round_up(e->plan->pool_bytes, ZS_ALIGN);
    e->packed = e->partial + zs_round_up(e->plan->partial_bytes, ZS_ALIGN);
    e->scratch = e->packed + zs_round_up(e->plan->packed_bytes, ZS_ALIGN);
    bind(e, false, e->calls, e->operands);
    bind(e, true, e->back_calls, e->back_operands);
    bind_packed(e);
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static zs_block block_at(const zs_engine *e, const zs_step *step, int index) {
    const int k = e->plan->spec.group_size, group = index / step->blocks;
    const int from = (index % step->blocks) * step->block_samples;
    const int to = from + step->block_samples < k ? from + step->block_samples : k;
    return (zs_block){.index = index, .group = group, .n0 = group * k + from, .n1 = group * k + to};
}

static void run_loss(zs_engine *e, const zs_block *b) {
    const zs_call *c = &e->calls[e->plan->output];
    const zs_kernels *k = e->exec->kernels;
    const double weight = 1.0 / e->plan->spec.group_size;
    const int K = c->node->shape.C;
    switch (e->loss) {
    case ZS_LOSS_CROSS_ENTROPY:
        k->cross_entropy(K, b->n0, b->n1, &c->y, e->labels, weight, e->sample_loss, &c->dy);
        break;
    case ZS_LOSS_CROSS_ENTROPY_TANGENT:
        k->cross_entropy_tangent(K / 2, b->n0, b->n1, &c->y, e->labels, weight, e->sample_loss, &c->dy);
        break;
    default: k->sum_logits(K, b->n0, b->n1, &c->y, e->labels, weight, e->sample_loss, &c->dy);
    }
}

static void clear_gradients(zs_engine *e, const zs_call *c, const zs_block *b) {
    for (int j = 0; j < c->n_in; j++)
        if (c->in[j].clear) e->exec->kernels->fill_zero(c->in[j].clear_shape, b->n0, b->n1, &c->in[j].clear_view);
}

static void run_backward(zs_engine *e, const zs_call *c, const zs_block *b, void *scratch) {
    clear_gradients(e, c, b);
    zs_op_get(c->node->op)->backward(c, b, scratch);
}

static void run_phase(zs_engine *e, const zs_phase *phase, const zs_block *b, void *scratch) {
    const zs_call *c = call_of(e, phase);
    switch (phase->kind) {
    case ZS_PHASE_FILL: e->exec->kernels->fill_zero(c->node->shape, b->n0, b->n1, &c->y); break;
    case ZS_PHASE_FORWARD_SUMS: zs_op_get(c->node->op)->forward_sums(c, b, scratch); break;
    case ZS_PHASE_FORWARD:
    case ZS_PHASE_REMAKE: zs_op_get(c->node->op)->forward(c, b, scratch); break;
    case ZS_PHASE_LOSS: run_loss(e, b); break;
    case ZS_PHASE_BACKWARD_SUMS: zs_op_get(c->node->op)->backward_sums(c, b, scratch); break;
    case ZS_PHASE_BACKWARD: run_backward(e, c, b, scratch); break;
    case ZS_PHASE_WEIGHTS:
    case ZS_PHASE_LOOK:
    case ZS_PHASE_LOOK_BACK: break;
    }
}

/* Looked at before every phase of a block, by the thread that called as well for the caller's own reasons to stop. */
static bool stops(zs_engine *e, bool is_caller) {
    if (atomic_load_explicit(&e->stopped, memory_order_relaxed)) return true;
    bool stop = e->exec->cancel && atomic_load_explicit(e->exec->cancel, memory_order_relaxed);
    if (!stop && is_caller && e->exec->poll) stop = e->exec->poll(e->exec->poll_self);
    if (stop) atomic_store(&e->stopped, 1);
    return stop;
}

/* task(e, arg, i, scratch) for i in [0, n): each i alone decides what is computed, not the number of threads. */
typedef void zs_task(zs_engine *e, const void *arg, int i, void *scratch);

static void run_tasks(zs_engine *e, int n, zs_task *task, const void *arg) {
#ifdef _OPENMP
    const int n_threads = e->n_threads < n ? e->n_threads : n;
    if (n_threads > 1) {
#pragma omp parallel for num_threads(n_threads) schedule(static)
        for (int i = 0; i < n; i++) {
            const int thread = omp_get_thread_num();
            if (!stops(e, thread == 0)) task(e, arg, i, e->scratch + (size_t)thread * e->scratch_bytes);
        }
        return;
    }
#endif
    for (int i = 0; i < n && !stops(e, true); i++) task(e, arg, i, e->scratch);
}

typedef struct wave {
    const zs_step *step;
    int first_group;
} wave;

static void find_part(const wave *w, int i, int *group, int *first, int *last) { /* blocks [first, last) */
    const int parts = w->step->parts, of = w->step->blocks, part = i % parts;
    *group = w->first_group + i / parts;
    *first = *group * of + (int)((int64_t)of * part / parts);
    *last = *group * of + (int)((int64_t)of * (part + 1) / parts);
}

static char *sums_at(const zs_engine *e, const zs_step *step, int i, const zs_phase *phase) {
    return e->partial + e->plan->joined_bytes + (size_t)i * step->part_bytes + phase->offset;
}

static size_t weight_size(const zs_engine *e, int node) {
    return e->graph->tensors[zs_layer_tensors_of(&e->graph->nodes[node]).main].size;
}

static bool wants_bias(const zs_engine *e, int node) {
    return zs_layer_tensors_of(&e->graph->nodes[node]).side >= 0 && e->plan->spec.params == ZS_PARAMS_ALL;
}

static void run_weights(zs_engine *e, int node, const zs_block *part, char *dw, void *scratch) {
    const zs_call *c = &e->back_calls[node];
    char *db = wants_bias(e, node) ? dw + weight_size(e, node) * zs_dtype_size(e->exec->kernels->dtype) : NULL;
    if (e->plan->nodes[node].fuses) clear_gradients(e, c, part);
    zs_op_get(c->node->op)->backward_weights(c, part, dw, db, scratch);
}

static void part_task(zs_engine *e, const void *arg, int i, void *scratch) {
    const wave *w = arg;
    const zs_step *step = w->step;
    const zs_phase *phases = &e->plan->phases[step->first];
    const bool is_caller = scratch == e->scratch;
    int group, first, last;
    find_part(w, i, &group, &first, &last);
    if (step->part_bytes == 0) {
        for (int j = first; j < last; j++) {
            const zs_block b = block_at(e, step, j);
            for (int f = 0; f < step->n && !stops(e, is_caller); f++) run_phase(e, &phases[f], &b, scratch);
        }
        return;
    }
    const zs_block part = {
        .index = i, .group = group, .n0 = block_at(e, step, first).n0, .n1 = block_at(e, step, last - 1).n1};
    for (int f = 0; f < step->n; f++) {
        if (phases[f].kind == ZS_PHASE_WEIGHTS) {
            if (stops(e, is_caller)) return;
            run_weights(e, phases[f].node, &part, sums_at(e, step, i, &phases[f]), scratch);
            continue;
        }
        for (int j = first; j < last && !stops(e, is_caller); j++) {
            const zs_block b = block_at(e, step, j);
            run_phase(e, &phases[f], &b, scratch);
        }
    }
}

/* Joins the parts of each group's weight gradients in order, and hands them over. */
static void deliver_weights(zs_engine *e, const wave *w, int n_groups, const zs_phase *phase) {
    const zs_kernels *k = e->exec->kernels;
    const zs_layer_tensors tensors = zs_layer_tensors_of(&e->graph->nodes[phase->node]);
    const int parts = w->step->parts;
    const size_t real = zs_dtype_size(k->dtype), size = weight_size(e, phase->node);
    const bool bias = wants_bias(e, phase->node);
    for (int j = 0; j < n_groups; j++) {
        char *dw = sums_at(e, w->step, j * parts, phase);
        if (parts > 1) {
            const size_t n = size + (bias ? (size_t)e->graph->tensors[tensors.side].size : 0);
            k->join(n, parts, w->step->part_bytes / real, dw, e->partial);
            dw = e->partial;
        }
        const int group = e->first_group + w->first_group + j;
        e->observer->gradient(e->observer->self, tensors.main, group, dw);
        if (bias) e->observer->gradient(e->observer->self, tensors.side, group, dw + size * real);
    }
}

static void pack_task(zs_engine *e, const void *arg, int i, void *scratch) {
    (void)scratch;
    const zs_phase *phase = (const zs_phase *)arg + i;
    if (phase->packs) zs_op_get(e->graph->nodes[phase->node].op)->pack(call_of(e, phase), phase->back);
}

/* Waves of whole groups, as many at a time as there is room for parts of weight gradients. */
static void run_step(zs_engine *e, const zs_step *step) {
    if (step->packs) run_tasks(e, step->n, pack_task, &e->plan->phases[step->first]);
    if (atomic_load(&e->stopped)) return;
    for (int g = 0; g < e->n_groups; g += step->groups) {
        const wave w = {.step = step, .first_group = g};
        const int n = g + step->groups < e->n_groups ? step->groups : e->n_groups - g;
        run_tasks(e, n * step->parts, part_task, &w);
        if (atomic_load(&e->stopped)) return;
        for (int f = step->first; f < step->first + step->n; f++)
            if (e->plan->phases[f].kind == ZS_PHASE_WEIGHTS) deliver_weights(e, &w, n, &e->plan->phases[f]);
    }
}

static void blame(zs_engine *e, int node, size_t count) {
    if (count == 0) return;
    if (e->blame.node < 0 || node < e->blame.node) e->blame.node = node;
    e->blame.count += count;
}

static void deliver_bn(zs_engine *e, int node) {
    const zs_call *c = &e->calls[node];
    if (e->plan->spec.params != ZS_PARAMS_ALL || c->node->tensors[ZS_ROLE_GAMMA] < 0) return;
    const size_t C = (size_t)c->node->shape.C;
    const struct {
        zs_role role;
        const double *values;
    } params[] = {{ZS_ROLE_GAMMA, c->bn.d_gamma}, {ZS_ROLE_BETA, c->bn.d_beta}};
    for (size_t i = 0; i < 2; i++)
        for (int g = 0; g < e->n_groups; g++) {
            e->exec->kernels->cast(C, params[i].values + (size_t)g * C, e->partial);
            e->observer->gradient(e->observer->self, c->node->tensors[params[i].role], e->first_group + g, e->partial);
        }
}

/* What the observer sees of a watched node once the step is over. */
static void look(zs_engine *e, const zs_phase *phase) {
    const zs_node_plan *shown = &e->plan->nodes[e->plan->nodes[phase->node].shown];
    const int node = e->plan->nodes[phase->node].shown;
    const bool back = phase->kind == ZS_PHASE_LOOK_BACK, zeros = shown->kind == ZS_NODE_FILL;
    const unsigned side = back ? ZS_WATCH_BACKWARD : ZS_WATCH_FORWARD;
    const bool shows = e->plan->spec.watch[phase->node] & ~(unsigned)ZS_WATCH_STATS;
    const zs_look l = {.node = phase->node,
                       .watch = e->plan->spec.watch[phase->node] & side,
                       .shape = e->graph->nodes[node].shape,
                       .first_group = e->first_group,
                       .n_groups = e->n_groups,
                       .group_size = e->plan->spec.group_size,
                       .value = zeros || !shows ? (zs_view){0} : view_of(e, back ? shown->kept : shown->value),
                       .grad = back ? view_of(e, shown->grad) : (zs_view){0},
                       .bn = e->calls[phase->node].bn.mean ? &e->calls[phase->node].bn : NULL};
    e->observer->look(e->observer->self, &l);
}

static void join_step(zs_engine *e, const zs_step *step) {
    for (int f = step->first; f < step->first + step->n; f++) {
        const zs_phase *phase = &e->plan->phases[f];
        zs_call c = e->calls[phase->node];
        c.n_groups = e->n_groups;
        c.block_samples = step->block_samples;
        if (phase->kind == ZS_PHASE_FORWARD_SUMS) {
            zs_op_get(c.node->op)->forward_join(&c);
            const size_t n = (size_t)e->n_groups * (size_t)c.node->shape.C;
            size_t count = 0;
            for (size_t i = 0; i < n; i++) count += (size_t)!(isfinite(c.bn.mean[i]) && isfinite(c.bn.rstd[i]));
            blame(e, phase->node, count);
        }
        if (phase->kind == ZS_PHASE_BACKWARD_SUMS) {
            zs_op_get(c.node->op)->backward_join(&c);
            deliver_bn(e, phase->node);
        }
        if (phase->kind == ZS_PHASE_LOOK || phase->kind == ZS_PHASE_LOOK_BACK) look(e, phase);
    }
}

static zs_status run_steps(zs_engine *e, int from, int to, zs_error *err) {
    for (int s = from; s < to; s++) {
        const zs_step *step = &e->plan->steps[s];
        e->blocks_begun += e->n_groups * step->blocks;
        run_step(e, step);
        if (atomic_load(&e->stopped)) return zs_fail(err, ZS_ECANCEL, "cancelled");
        join_step(e, step);
    }
    return e->exec->backend->sync(e->exec->backend, err);
}

/* Mean losses by group, logits, and whether they are finite. */
static void hand_out_loss(zs_engine *e, double *losses, double *logits) {
    const zs_kernels *kernels = e->exec->kernels;
    const zs_call *out = &e->calls[e->plan->output];
    const int K = out->node->shape.C, k = e->plan->spec.group_size;
    const size_t real = zs_dtype_size(kernels->dtype);
    size_t bad = 0;
    for (int n = 0; n < e->n_groups * k; n++) {
        const char *row = (const char *)out->y.p + (size_t)n * (size_t)out->y.sn * real;
        bad += kernels->count_nonfinite((size_t)K, row);
        if (logits) kernels->store_vector((size_t)K, row, logits + (size_t)n * (size_t)K);
    }
    blame(e, e->plan->output, bad);
    for (int g = 0; g < e->n_groups; g++) {
        losses[g] = 0;
        for (int n = 0; n < k; n++) losses[g] += e->sample_loss[g * k + n];
        losses[g] /= k;
    }
}

zs_status zs_engine_forward(zs_engine *e, zs_loss loss, int first_group, int n_groups, zs_dtype x_dtype, const void *x,
                            const int64_t *labels, const zs_observer *observer, double *losses, double *logits,
                            zs_error *err) {
    const zs_plan *p = e->plan;
    const int n_samples = n_groups * p->spec.group_size;
    ZS_ASSERT(n_groups >= 1 && n_groups <= p->spec.n_groups);
    e->loss = loss;
    e->first_group = first_group;
    e->n_groups = n_groups;
    e->observer = observer;
    e->blame.node = -1;
    e->blame.count = 0;
    atomic_store(&e->stopped, 0);
    memcpy(e->labels, labels, (size_t)n_samples * sizeof *labels);
    if (p->nodes[0].value.storage >= 0 && p->storages[p->nodes[0].value.storage].last >= 0) {
        const zs_view image = view_of(e, p->nodes[0].value);
        e->exec->kernels->load_images(e->graph->nodes[0].shape, n_samples, x_dtype, x, &image);
    }
    if (run_steps(e, 0, p->n_forward_steps, err) == ZS_OK) hand_out_loss(e, losses, logits);
    return err->status;
}

zs_status zs_engine_backward(zs_engine *e, zs_error *err) {
    return run_steps(e, e->plan->n_forward_steps, e->plan->n_steps, err);
}

zs_status zs_engine_backward_from(zs_engine *e, int sample, int first_group, zs_error *err) {
    const zs_call *c = &e->calls[e->plan->output];
    const zs_kernels *k = e->exec->kernels;
    e->first_group = first_group;
    if (c->dy.p) {
        const int n_samples = e->n_groups * e->plan->spec.group_size;
        k->fill_zero(c->node->shape, 0, n_samples, &c->dy);
        if (sample >= 0)
            k->sum_logits(c->node->shape.C, sample, sample + 1, &c->y, e->labels, 1.0, e->sample_loss, &c->dy);
    }
    return zs_engine_backward(e, err);
}
