/* NAS-Bench-201 (Dong and Yang, ICLR 2020), the same cells as the topology space of NATS-Bench.

   A cell is a graph on nodes 0 (input) .. 3 (output) with one of five operations on each edge j -> i, j < i:

       |op~0|+|op~0|op~1|+|op~0|op~1|op~2|          node 1 + node 2 + node 3, op~j on the edge from node j

   genes: the six operations in that order, edges (0,1) (0,2) (1,2) (0,3) (1,3) (2,3). Terms of one node may come in
   any order in a text; they are written sorted by source.

       stem 3x3, BN | N cells at C | residual, stride 2 | N cells at 2C | residual, stride 2 | N cells at 4C |
       BN, ReLU, global pool, linear

   The release sums a node's terms in source order and runs dead edges too; so does this graph.

   zero-cost-nas (Abdelfattah et al., ICLR 2021; GradSign's networks too) builds all five operations on every edge of
   every cell, in the order none, avg_pool, 3x3, 1x1, skip, and runs the chosen one: all networks have the same weights,
   and those of operations that are not chosen get no gradient. Convolutions of its cells have a bias and their batch
   norm no gamma and beta; stem, residual blocks and head are the same. Where a score asks for a network without batch
   norms, its residual blocks, which have no switch for that, keep theirs; stem, cells and head lose them. */
#include <stdio.h>

#include "spaces/blocks.h"

enum { NONE, SKIP, CONV_1X1, CONV_3X3, AVG_POOL, N_OPS };
enum { N_CELL_NODES = 4, N_EDGES = 6, N_STAGES = 3 };

static const char *const OPS[N_OPS] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"};
static const char ONE_OP[] = "an operation (none, skip_connect, nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3)";

static int edge(int source, int node) { /* edges into nodes 1 .. node-1 come before */
    return node * (node - 1) / 2 + source;
}

/* --- text -------------------------------------------------------------------------------------------------------- */

/* |op~j|op~j|...| with each source 0 .. node-1 once */
static bool read_node(zs_reader *r, int node, int *genes) {
    unsigned seen = 0;
    char expected[64];
    snprintf(expected, sizeof expected, "'|' before a term of node %d", node);
    if (!zs_read_char(r, '|', expected)) return false;
    for (int term = 0; term < node; term++) {
        const int op = zs_read_word(r, N_OPS, OPS, ONE_OP);
        if (op < 0 || !zs_read_char(r, '~', "'~' and a source")) return false;

        const size_t at = r->at;
        snprintf(expected, sizeof expected, "a source of node %d (0 to %d)", node, node - 1);
        const int source = zs_read_digit(r, node, expected);
        if (source < 0) return false;
        if (seen & 1u << source) {
            snprintf(expected, sizeof expected, "each source of node %d once", node);
            return zs_read_fail(r, at, expected) == ZS_OK;
        }
        seen |= 1u << source;
        genes[edge(source, node)] = op;
        if (!zs_read_char(r, '|', "'|' after a source")) return false;
    }
    return true;
}

static zs_status nasbench201_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    for (int node = 1; node < N_CELL_NODES; node++) {
        char expected[64];
        snprintf(expected, sizeof expected, "'+' and node %d (node %d has %d input%s)", node, node - 1, node - 1,
                 node == 2 ? "" : "s");
        if (node > 1 && !zs_read_char(&r, '+', expected)) return err->status;
        if (!read_node(&r, node, genes)) return err->status;
    }
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status nasbench201_check(const int *genes, zs_error *err) {
    for (int e = 0; e < N_EDGES; e++)
        if (genes[e] < 0 || genes[e] >= N_OPS)
            return zs_fail(err, ZS_EARCH, "operation %d: expected 0 to %d, got %d", e, N_OPS - 1, genes[e]);
    return ZS_OK;
}

static void nasbench201_format(const int *genes, char *out) {
    size_t at = 0;
    for (int node = 1; node < N_CELL_NODES; node++) {
        at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, node > 1 ? "+|" : "|");
        for (int source = 0; source < node; source++)
            at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, "%s~%d|", OPS[genes[edge(source, node)]], source);
    }
}

/* --- network ----------------------------------------------------------------------------------------------------- */

static int add_chosen(zs_builder *b, int op, int cell, int source, int node, int x, int K) {
    const zs_node_name prefix = zs_named("cell%02d.e%d%d", cell, source, node);
    switch (op) {
    case NONE: return zs_add_simple(b, ZS_OP_ZERO, zs_named("%.48s.none", prefix.text).text, x);
    case SKIP: return zs_add_simple(b, ZS_OP_IDENTITY, zs_named("%.48s.skip", prefix.text).text, x);
    case AVG_POOL: return zs_add_avg_pool(b, zs_named("%.48s.pool", prefix.text).text, x, 3, 1, 1);
    default: ZS_ASSERT(op == CONV_1X1 || op == CONV_3X3);
    }
    return zs_add_relu_conv_bn(b, zs_named("%.48s.relu", prefix.text).text, zs_named("%.48s.conv", prefix.text).text,
                               zs_named("%.48s.bn", prefix.text).text, x, K, op == CONV_1X1 ? 1 : 3, 1);
}

static int add_plain_relu_conv_bn(zs_builder *b, const char *prefix, int x, int K, int size) {
    zs_attrs bn = zs_attrs_default();
    bn.affine = false;
    x = zs_add_simple(b, ZS_OP_RELU, zs_named("%.40s.relu_%dx%d", prefix, size, size).text, x);
    x = zs_add_window_conv(b, zs_named("%.40s.conv_%dx%d", prefix, size, size).text, x, K, zs_square(size, 1), 1, true);
    return zs_builder_add(b, ZS_OP_BATCH_NORM, zs_named("%.40s.bn_%dx%d", prefix, size, size).text, 1, &x, NULL, &bn);
}

/* Nobody reads what is not chosen. */
static int add_all(zs_builder *b, int op, int cell, int source, int node, int x, int K) {
    const zs_node_name prefix = zs_named("cell%02d.e%d%d", cell, source, node);
    int of[N_OPS];
    of[NONE] = zs_add_simple(b, ZS_OP_ZERO, zs_named("%.48s.none", prefix.text).text, x);
    of[AVG_POOL] = zs_add_avg_pool(b, zs_named("%.48s.pool", prefix.text).text, x, 3, 1, 1);
    of[CONV_3X3] = add_plain_relu_conv_bn(b, prefix.text, x, K, 3);
    of[CONV_1X1] = add_plain_relu_conv_bn(b, prefix.text, x, K, 1);
    of[SKIP] = zs_add_simple(b, ZS_OP_IDENTITY, zs_named("%.48s.skip", prefix.text).text, x);
    return of[op];
}

static int add_cell(zs_builder *b, zs_space_builder builder, const int *genes, int cell, int x, int K) {
    const bool is_zerocost = builder == ZS_BUILDER_ZEROCOST;
    int nodes[N_CELL_NODES] = {x};
    for (int node = 1; node < N_CELL_NODES; node++) {
        int terms[N_CELL_NODES];
        for (int source = 0; source < node; source++) {
            const int op = genes[edge(source, node)], from = nodes[source];
            terms[source] = is_zerocost ? add_all(b, op, cell, source, node, from, K)
                                        : add_chosen(b, op, cell, source, node, from, K);
        }
        nodes[node] = node == 1 ? terms[0] : zs_add_sum(b, zs_named("cell%02d.n%d", cell, node).text, node, terms);
    }
    return nodes[N_CELL_NODES - 1];
}

static zs_status args_check(const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_nasbench201, args, err);
    if (st != ZS_OK) return st;
    if (args->channels > ZS_MAX_DIM / 4)
        return zs_fail(err, ZS_EINVAL, "channels: expected 1 to %d, got %d", ZS_MAX_DIM / 4, args->channels);
    return zs_residual_input_check(args, err);
}

static zs_status nasbench201_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = args_check(args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    int K = args->channels;
    int x = zs_add_conv(b, "stem.conv", 0, K, 3, 1);
    x = zs_add_bn(b, "stem.bn", x);
    zs_builder_set_feature(b, x);
    for (int stage = 0; stage < N_STAGES; stage++) {
        if (stage > 0) {
            K *= 2;
            x = zs_add_residual(b, stage, x, K, args->builder == ZS_BUILDER_ZEROCOST);
            zs_builder_set_feature(b, x);
        }
        for (int i = 0; i < args->cells && zs_builder_ok(b); i++) {
            x = add_cell(b, args->builder, genes, stage * args->cells + i, x, K);
            zs_builder_set_feature(b, x);
        }
    }
    x = zs_add_bn_relu_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}

const zs_space zs_space_nasbench201 = {
    .name = "nasbench201",
    .n_genes = N_EDGES,
    .channels = 16,
    .cells = 5,
    .builders = 1u << ZS_BUILDER_AUTODL | 1u << ZS_BUILDER_ZEROCOST,
    .parse = nasbench201_parse,
    .check = nasbench201_check,
    .format = nasbench201_format,
    .build = nasbench201_build,
};
