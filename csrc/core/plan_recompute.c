/* Which values backward does not find where forward left them, but has made again: less memory for more time.

   Sums     sums, averages, activations and batch norms of values that backward reads anyway (those that convolutions
            wrote) cost one pass to make again. No convolution is repeated.
   All      whatever lies between checkpoints, convolutions too: about one more forward pass. Checkpoints are nodes that
            every path crosses (in a dual graph a node and its tangent), such as the output of a cell or of a block in a
            chain, chosen to balance their bytes against those of the longest stretch between two (Chen et al., 2016,
            with the bytes of this graph in place of the square root).

   Batch norm's coefficients stay, and the same kernels run over the same blocks, so values come again bit for bit. */
#include "core/planner.h"

/* Values that a backward phase reads. */
static bool *find_read(const zs_planner *q) {
    bool *read = zs_calloc((size_t)q->g->n_nodes, sizeof *read);
    for (int i = 1; read && i < q->g->n_nodes; i++) {
        const zs_node_plan *np = &q->p->nodes[i];
        if (!np->wants_grad || (np->kind != ZS_NODE_RUN && np->kind != ZS_NODE_LAZY)) continue;
        read[i] = read[i] || has_trait(q, i, ZS_BWD_READS_OUT) || (q->shown[i] & ZS_WATCH_PRODUCT);
        for (int j = 0; j < node_of(q, i)->n_inputs; j++)
            if (reads_back(q, i, j)) read[q->p->edges[node_of(q, i)->first_input + j].source] = true;
    }
    return read;
}

static bool may_go(const zs_planner *q, int i) {
    return i > 0 && q->p->nodes[i].kind == ZS_NODE_RUN && !(q->shown[i] & ZS_WATCH_BACKWARD) && i != q->p->output;
}

static bool is_cheap(const zs_planner *q, int i) {
    const zs_op_kind op = node_of(q, i)->op;
    return op == ZS_OP_ADD || op == ZS_OP_BATCH_NORM || op == ZS_OP_AVG_POOL || op == ZS_OP_BATCH_NORM_TANGENT ||
           op == ZS_OP_RELU_GATE || zs_is_activation(op);
}

enum { MAX_REMADE = 4 }; /* nodes that one value may need made again, itself included; a gate needs two values */

/* Cheap nodes all of whose sources are kept for others, or are cheap themselves and not kept. A source that is kept no
   more does not count: one would need the next, back to the image; but for gates, which no other cheap node reads.
   `needs` is borrowed. */
static void remake_sums(zs_planner *q, const bool *read, int *needs) {
    for (int i = 1; i < q->g->n_nodes; i++) {
        bool found = may_go(q, i) && is_cheap(q, i) && q->parent[i] < 0;
        const bool gate = has_trait(q, i, ZS_GATE);
        needs[i] = 1;
        for (int j = 0; found && j < node_of(q, i)->n_inputs; j++) {
            const zs_edge_plan *e = &q->p->edges[node_of(q, i)->first_input + j];
            const zs_node_plan *source = &q->p->nodes[e->source];
            if (e->dropped) continue;
            if (!read[e->source] || source->remade) needs[i] += needs[e->source];
            found = source->kind == ZS_NODE_RUN && needs[i] <= (gate ? 2 * MAX_REMADE : MAX_REMADE) &&
                    (source->remade != read[e->source] || (gate && source->remade));
        }
        q->p->nodes[i].remade = found;
    }
}

static size_t bytes_of(const zs_planner *q, int i) {
    return q->p->nodes[i].kind == ZS_NODE_RUN && q->parent[i] < 0 ? elements_of(node_of(q, i)->shape) : 0;
}

static bool is_dual(const zs_planner *q) {
    for (int i = 1; i < q->g->n_nodes; i++)
        if (has_trait(q, i, ZS_TANGENT)) return true;
    return false;
}

/* Nodes past which nothing that lies before them is read, in a dual graph nothing but one more: cut[i] is that one, i
   if there is none, -1 where there is no cut. */
static void find_cuts(const zs_planner *q, int *last_reader, int *cut) {
    const bool pairs = is_dual(q);
    for (int i = 0; i < q->g->n_nodes; i++) last_reader[i] = 0;
    for (int i = 1; i < q->g->n_nodes; i++)
        for (int j = 0; q->p->nodes[i].kind != ZS_NODE_SKIP && j < node_of(q, i)->n_inputs; j++) {
            const zs_edge_plan *e = &q->p->edges[node_of(q, i)->first_input + j];
            if (!e->dropped && i > last_reader[e->source]) last_reader[e->source] = i;
        }
    int first = 0, second = -1; /* the nodes before i that are read last */
    cut[0] = -1;
    for (int i = 1; i < q->g->n_nodes; i++) {
        const bool alone = last_reader[first] <= i, two = pairs && (second < 0 || last_reader[second] <= i);
        const bool other = alone || (two && may_go(q, first) && q->parent[first] < 0);
        cut[i] = other && may_go(q, i) && q->parent[i] < 0 ? (alone ? i : first) : -1;
        if (last_reader[i] > last_reader[first]) {
            second = first;
            first = i;
        } else if (second < 0 || last_reader[i] > last_reader[second]) {
            second = i;
        }
    }
}

/* Keeps a cut once so many bytes lie behind it; returns the bytes that are held at a time. */
static size_t keep_cuts(const zs_planner *q, const int *cut, size_t stretch, bool *keep) {
    size_t kept = 0, since = 0, longest = 0;
    for (int i = 1; i < q->g->n_nodes; i++) {
        since += bytes_of(q, i);
        keep[i] = cut[i] >= 0 && since >= stretch;
        if (since > longest) longest = since;
        if (!keep[i]) continue;
        keep[cut[i]] = true;
        kept += bytes_of(q, i) + (cut[i] != i ? bytes_of(q, cut[i]) : 0);
        since = 0;
    }
    return kept + longest;
}

static zs_status remake_all(zs_planner *q) {
    const size_t n = (size_t)q->g->n_nodes;
    int *last_reader = zs_alloc(n * sizeof *last_reader);
    int *cut = zs_alloc(n * sizeof *cut);
    bool *keep = zs_calloc(n, sizeof *keep);
    if (last_reader && cut && keep) {
        find_cuts(q, last_reader, cut);
        size_t total = 1, best = 0;
        for (int i = 1; i < q->g->n_nodes; i++) total += bytes_of(q, i);
        for (size_t stretch = total; stretch > 0; stretch -= (stretch + 3) / 4)
            if (!best || keep_cuts(q, cut, stretch, keep) < keep_cuts(q, cut, best, keep)) best = stretch;
        keep_cuts(q, cut, best, keep);
        for (int i = q->g->n_nodes - 1; i > 0; i--) { /* a concat before its parts */
            if (q->parent[i] >= 0) keep[i] = keep[q->parent[i]];
            q->p->nodes[i].remade = may_go(q, i) && !keep[i];
        }
    } else {
        zs_fail(q->err, ZS_ENOMEM, "out of memory while planning");
    }
    zs_free(last_reader);
    zs_free(cut);
    zs_free(keep);
    return q->err->status;
}

zs_status zs_planner_recompute(zs_planner *q) {
    if (!q->s->backward || q->s->retain || q->s->recompute == ZS_RECOMPUTE_NOTHING) return ZS_OK;
    if (q->s->recompute == ZS_RECOMPUTE_ALL) return remake_all(q);
    bool *read = find_read(q);
    int *needs = zs_alloc((size_t)q->g->n_nodes * sizeof *needs);
    if (read && needs)
        remake_sums(q, read, needs);
    else
        zs_fail(q->err, ZS_ENOMEM, "out of memory while planning");
    zs_free(read);
    zs_free(needs);
    return q->err->status;
}
