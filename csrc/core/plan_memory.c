/* How long each storage lives, and where it lies; how weight gradients are cut into parts. */
#include <stdlib.h>

#include "core/planner.h"

/* A group's weight gradients are summed in parts, as many as its blocks at the most: fewer where parts would have less
   than so many pixels, since each is cleared, transformed and joined, or all together more than so many bytes. */
enum { MIN_PART_PIXELS = 1024, MAX_PARTIAL_BYTES = 1 << 24, PARTS_AT_A_TIME = 16 };

/* A block's share of a tensor, so that the half dozen tensors of a step fit in a second-level cache. */
enum { BLOCK_BYTES = 1 << 16, MAX_BLOCK_SAMPLES = 8 };

static void touch(zs_planner *q, zs_place place, int step) {
    if (place.storage < 0) return;
    zs_storage *s = &q->p->storages[place.storage];
    if (step < s->first) s->first = step;
    if (step > s->last) s->last = step;
}

void zs_planner_lifetimes(zs_planner *q) {
    zs_plan *p = q->p;
    touch(q, p->nodes[0].value, 0);
    touch(q, p->nodes[p->output].value, p->n_forward_steps - 1); /* where the logits are looked at */
    for (int t = 0; t < p->n_steps; t++)
        for (int f = p->steps[t].first; f < p->steps[t].first + p->steps[t].n; f++) {
            const int i = p->phases[f].node;
            const zs_phase_kind kind = p->phases[f].kind;
            const zs_node *n = node_of(q, i);
            const zs_node_plan *np = &p->nodes[i];
            if (kind == ZS_PHASE_LOOK || kind == ZS_PHASE_LOOK_BACK) {
                const zs_node_plan *shown = &p->nodes[np->shown];
                if (kind == ZS_PHASE_LOOK && (watch_of(q, i) & (ZS_WATCH_VALUE | ZS_WATCH_INPUT)))
                    touch(q, shown->value, t);
                if (kind == ZS_PHASE_LOOK_BACK) touch(q, shown->grad, t);
                if (kind == ZS_PHASE_LOOK_BACK && (watch_of(q, i) & ZS_WATCH_PRODUCT)) touch(q, shown->kept, t);
                continue;
            }
            const bool remake = kind == ZS_PHASE_REMAKE, back = kind > ZS_PHASE_REMAKE;
            if (back || kind == ZS_PHASE_LOSS) touch(q, np->grad, t);
            if (!back && !remake) touch(q, np->value, t);
            if (remake || (back && has_trait(q, i, ZS_BWD_READS_OUT))) touch(q, np->kept, t);
            if (kind == ZS_PHASE_LOSS) continue;
            for (int j = 0; j < n->n_inputs; j++) {
                const zs_edge_plan *e = &p->edges[n->first_input + j];
                const zs_node_plan *source = &p->nodes[e->source];
                if (!e->dropped && (!back || reads_back(q, i, j)))
                    touch(q, back || remake ? source->kept : source->value, t);
                if (kind == ZS_PHASE_BACKWARD || (kind == ZS_PHASE_WEIGHTS && np->fuses)) touch(q, e->dx, t);
            }
        }
    for (int s = 0; q->s->retain && s < p->n_storages; s++)
        if (p->storages[s].first < p->n_forward_steps && p->storages[s].last >= p->n_forward_steps)
            p->storages[s].last = p->n_steps - 1;
}

static size_t storage_bytes(const zs_planner *q, int s) {
    return zs_round_up(q->p->storages[s].elements * (size_t)q->s->group_size * (size_t)q->s->n_groups *
                           zs_dtype_size(q->s->kernels->dtype),
                       ZS_ALIGN);
}

typedef struct sized {
    size_t n_bytes;
    int storage;
} sized;

static int by_size_then_index(const void *a, const void *b) {
    const sized *x = a, *y = b;
    if (x->n_bytes != y->n_bytes) return x->n_bytes < y->n_bytes ? 1 : -1;
    return x->storage - y->storage;
}

/* Largest first, each at the lowest offset that is free over its whole life. */
zs_status zs_planner_offsets(zs_planner *q) {
    zs_plan *p = q->p;
    sized *order = zs_alloc((size_t)p->n_storages * sizeof *order);
    sized *placed = zs_alloc((size_t)p->n_storages * sizeof *placed); /* sorted by offset, which n_bytes holds */
    if (!order || !placed) {
        zs_free(order);
        zs_free(placed);
        return zs_fail(q->err, ZS_ENOMEM, "out of memory while planning");
    }
    int n = 0, n_placed = 0;
    for (int s = 0; s < p->n_storages; s++)
        if (p->storages[s].last >= 0) order[n++] = (sized){storage_bytes(q, s), s};
    qsort(order, (size_t)n, sizeof *order, by_size_then_index);
    for (int i = 0; i < n; i++) {
        zs_storage *s = &p->storages[order[i].storage];
        size_t at = 0;
        for (int k = 0; k < n_placed; k++) {
            const zs_storage *other = &p->storages[placed[k].storage];
            if (other->last < s->first || other->first > s->last) continue;
            if (placed[k].n_bytes >= at + order[i].n_bytes) break;
            const size_t end = placed[k].n_bytes + storage_bytes(q, placed[k].storage);
            if (end > at) at = end;
        }
        s->offset = at;
        int k = n_placed++;
        for (; k > 0 && placed[k - 1].n_bytes > at; k--) placed[k] = placed[k - 1];
        placed[k] = (sized){at, order[i].storage};
        if (at + order[i].n_bytes > p->pool_bytes) p->pool_bytes = at + order[i].n_bytes;
    }
    zs_free(order);
    zs_free(placed);
    return ZS_OK;
}

bool zs_plan_disjoint(const zs_plan *p) {
    const zs_planner q = {.p = (zs_plan *)p, .g = p->graph, .s = &p->spec};
    for (int a = 0; a < p->n_storages; a++)
        for (int b = 0; b < a; b++) {
            const zs_storage *x = &p->storages[a], *y = &p->storages[b];
            if (x->last < 0 || y->last < 0 || x->last < y->first || y->last < x->first) continue;
            if (x->offset < y->offset + storage_bytes(&q, b) && y->offset < x->offset + storage_bytes(&q, a))
                return false;
        }
    return true;
}

static size_t gradient_bytes(const zs_planner *q, const zs_tensor *t) { /* weight and bias */
    return zs_round_up((t->size + (size_t)t->O) * zs_dtype_size(q->s->kernels->dtype), ZS_ALIGN);
}

/* The largest tensor that a step's phases read or write, of one sample. */
static size_t widest(const zs_planner *q, const zs_step *step) {
    size_t n = 1;
    for (int f = step->first; f < step->first + step->n; f++) {
        const int i = q->p->phases[f].node;
        if (elements_of(node_of(q, i)->shape) > n) n = elements_of(node_of(q, i)->shape);
        for (int j = 0; j < node_of(q, i)->n_inputs; j++) {
            const size_t in = elements_of(node_of(q, zs_node_inputs(q->g, i)[j])->shape);
            if (in > n) n = in;
        }
    }
    return n * zs_dtype_size(q->s->kernels->dtype);
}

static void cut_blocks(zs_planner *q, zs_step *step) {
    const size_t room = BLOCK_BYTES / widest(q, step), k = (size_t)q->s->group_size;
    size_t samples = room < 1 ? 1 : room > MAX_BLOCK_SAMPLES ? MAX_BLOCK_SAMPLES : room;
    if (samples > k) samples = k;
    step->block_samples = (int)samples;
    step->blocks = (int)((k + samples - 1) / samples);
    for (int f = step->first; f < step->first + step->n; f++) {
        const zs_phase *phase = &q->p->phases[f];
        zs_node_plan *np = &q->p->nodes[phase->node];
        if (phase->kind != ZS_PHASE_FORWARD_SUMS && phase->kind != ZS_PHASE_BACKWARD_SUMS) continue;
        if (step->blocks > np->blocks) np->blocks = step->blocks;
    }
}

static void cut_step(zs_planner *q, zs_step *step, size_t *joined_bytes) {
    zs_plan *p = q->p;
    size_t wanted = 0;
    cut_blocks(q, step);
    for (int f = step->first; f < step->first + step->n; f++) {
        zs_phase *phase = &p->phases[f];
        if (phase->kind != ZS_PHASE_WEIGHTS) continue;
        const zs_node *n = node_of(q, phase->node);
        const size_t n_bytes = gradient_bytes(q, &q->g->tensors[zs_layer_tensors_of(n).main]);
        const size_t pixels = (size_t)q->s->group_size * (size_t)n->shape.H * (size_t)n->shape.W;
        if (pixels / MIN_PART_PIXELS > wanted) wanted = pixels / MIN_PART_PIXELS;
        if (n_bytes > *joined_bytes) *joined_bytes = n_bytes;
        phase->offset = step->part_bytes;
        step->part_bytes += n_bytes;
    }
    step->parts = step->blocks < PARTS_AT_A_TIME ? step->blocks : PARTS_AT_A_TIME;
    step->groups = q->s->n_groups;
    if (step->part_bytes == 0) return;
    const size_t room = MAX_PARTIAL_BYTES / step->part_bytes;
    size_t parts = wanted < (size_t)step->blocks ? wanted : (size_t)step->blocks;
    if (parts > room) parts = room;
    if (parts < 1) parts = 1;
    size_t groups = (room < PARTS_AT_A_TIME ? room : PARTS_AT_A_TIME) / parts;
    if (groups < 1) groups = 1;
    step->parts = (int)parts;
    if (groups < (size_t)step->groups) step->groups = (int)groups;
}

/* Weights are packed when a step begins, and those of other steps lie in the same place. */
static void place_packed(zs_planner *q, zs_step *step) {
    size_t n_bytes = 0;
    for (int f = step->first; f < step->first + step->n; f++) {
        zs_phase *phase = &q->p->phases[f];
        const zs_op *op = phase->node > 0 ? zs_op_get(node_of(q, phase->node)->op) : NULL;
        const bool fuses = q->p->nodes[phase->node].fuses;
        const bool forward = phase->kind == ZS_PHASE_FORWARD || phase->kind == ZS_PHASE_REMAKE;
        phase->back = phase->kind == (fuses ? ZS_PHASE_WEIGHTS : ZS_PHASE_BACKWARD);
        if (!op || !op->pack || !(forward || phase->back)) continue;
        zs_operand in;
        const zs_call sizing = zs_plan_sizing_call(q->p, phase->node, &in);
        phase->packs = step->packs = true;
        phase->packed = n_bytes;
        n_bytes += zs_round_up(op->packed_bytes(&sizing, phase->back), ZS_ALIGN);
    }
    if (n_bytes > q->p->packed_bytes) q->p->packed_bytes = n_bytes;
}

void zs_planner_work(zs_planner *q) {
    zs_plan *p = q->p;
    size_t joined_bytes = 0;
    for (int i = 1; i < q->g->n_nodes; i++) {
        const zs_node *n = node_of(q, i);
        const zs_node_plan *np = &p->nodes[i];
        if (np->kind == ZS_NODE_SKIP || np->kind == ZS_NODE_FILL) continue;
        const int w = n->tensors[ZS_ROLE_WEIGHT];
        const size_t vector = zs_round_up((size_t)n->shape.C * sizeof(double), ZS_ALIGN);
        if (vector > joined_bytes) joined_bytes = vector; /* gradients of gamma and beta */
        if (w >= 0) p->macs += (int64_t)q->g->tensors[w].size * zs_weight_uses(n);
    }
    for (int t = 0; t < p->n_steps; t++) {
        zs_step *step = &p->steps[t];
        cut_step(q, step, &joined_bytes);
        place_packed(q, step);
        const size_t n_bytes = (size_t)step->groups * (size_t)step->parts * step->part_bytes;
        if (n_bytes > p->partial_bytes) p->partial_bytes = n_bytes;
    }
    p->joined_bytes = joined_bytes;
    p->partial_bytes += joined_bytes;
}
