#include "core/count.h"

#include <string.h>

#include "core/op.h"

enum { FROM_IMAGE = 1, TO_LOGITS = 2, LIVE = FROM_IMAGE | TO_LOGITS, RUNS = 4 };

/* Node order is topological: one sweep forward from the image, one backward from the logits. */
static void mark_live(const zs_graph *g, uint8_t *flags) {
    memset(flags, 0, (size_t)g->n_nodes);
    flags[0] = FROM_IMAGE;
    for (int i = 1; i < g->n_nodes; i++) {
        const zs_node *node = &g->nodes[i];
        if (node->op == ZS_OP_ZERO) continue;
        for (int k = 0; k < node->n_inputs; k++) flags[i] |= flags[zs_node_inputs(g, i)[k]] & FROM_IMAGE;
    }
    flags[g->n_nodes - 1] |= TO_LOGITS | RUNS;
    for (int i = g->n_nodes - 1; i > 0; i--) {
        const zs_node *node = &g->nodes[i];
        if (node->runs) flags[i] |= RUNS;
        const uint8_t passes = node->op == ZS_OP_ZERO ? RUNS : TO_LOGITS | RUNS;
        for (int k = 0; k < node->n_inputs; k++) flags[zs_node_inputs(g, i)[k]] |= flags[i] & passes;
    }
}

static bool is_trainable(zs_role role) { return role != ZS_ROLE_RUNNING_MEAN && role != ZS_ROLE_RUNNING_VAR; }

static bool add(int64_t *sum, int64_t term) { return !__builtin_add_overflow(*sum, term, sum); }

zs_status zs_graph_count(const zs_graph *g, zs_counts *out, zs_error *err) {
    uint8_t flags[ZS_MAX_NODES];
    ZS_ASSERT(g->n_nodes <= ZS_MAX_NODES);
    mark_live(g, flags);

    zs_counts c = {0};
    bool ok = true;
    for (int t = 0; t < g->n_tensors; t++) {
        const zs_tensor *tensor = &g->tensors[t];
        const int64_t size = (int64_t)tensor->size;
        if (is_trainable(tensor->role)) ok &= add(&c.params, size);
        if (!tensor->counted) continue;
        int64_t macs;
        ok &= !__builtin_mul_overflow(size, zs_weight_uses(&g->nodes[tensor->node]), &macs);
        ok &= add(&c.weights, size);
        if (flags[tensor->node] & RUNS) ok &= add(&c.macs, macs);
        if ((flags[tensor->node] & LIVE) == LIVE) ok &= add(&c.live_weights, size) && add(&c.live_macs, macs);
    }
    int64_t pool = 0, pool_k2 = 0, bn = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const zs_node *node = &g->nodes[i];
        const int64_t outputs = (int64_t)node->shape.C * node->shape.H * node->shape.W;
        int64_t term;
        if (!(flags[i] & RUNS)) continue;
        if (node->op == ZS_OP_AVG_POOL) {
            const int64_t window = (int64_t)node->attrs.window.R * node->attrs.window.S;
            ok &= !__builtin_mul_overflow(outputs, window, &term) && add(&pool, outputs) && add(&pool_k2, term);
        }
        if (node->op == ZS_OP_BATCH_NORM && node->attrs.bn_mode != ZS_BN_IDENTITY)
            ok &= !__builtin_mul_overflow(outputs, (int64_t)(node->attrs.affine ? 4 : 2), &term) && add(&bn, term);
    }
    c.thop_flops = c.poolk2_flops = c.macs;
    ok &= add(&c.thop_flops, pool) && add(&c.poolk2_flops, pool_k2);
    c.thop_bn_flops = c.thop_flops;
    ok &= add(&c.thop_bn_flops, bn);
    if (!ok) return zs_fail(err, ZS_EINVAL, "network: a count of its weights or operations passes 2^63");
    *out = c;
    return ZS_OK;
}
