/* The supernet of NAS-Bench-201 in the form of TE-NAS (Chen, Gong and Wang, ICLR 2021): every edge holds a set of the
   operations and computes their mean, and a search takes one after the other away.

       |op,op~0|+|op~0|op,op,op~1|+|op~0|op~1|op~2|      the benchmark's text with a set on each edge, maybe empty
       affine=0;|...                                     batch norms inside cells without gamma and beta

   genes: the six sets as bits, edges as in nasbench201.c, then 1 where batch norms of cells are affine.

   All five operations of every edge have weights, whatever the sets: a network and the same one without an operation
   draw the same weights for what both have. Nobody reads what is not in its set. Stem, residual blocks and head are the
   benchmark's. TE-NAS scores C = 3, N = 1. */
#include <stdio.h>

#include "spaces/op_sets.h"

enum { NONE, SKIP, CONV_1X1, CONV_3X3, AVG_POOL, N_OPS };
enum { N_CELL_NODES = 4, N_EDGES = 6, N_STAGES = 3, AFFINE = N_EDGES, N_GENES };

static const char *const OPS[N_OPS] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"};
static const char AN_OP[] = "an operation (none, skip_connect, nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3)";
static const char PREFIX[] = "affine=0;";

static int first_edge(int node) { return node * (node - 1) / 2; }

static zs_status super_nasbench201_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    genes[AFFINE] = !(len > 0 && text[0] == PREFIX[0]);
    if (!genes[AFFINE] && !zs_read_literal(&r, PREFIX, "'affine=0;' or '|'")) return err->status;
    for (int node = 1; node < N_CELL_NODES; node++) {
        if (node > 1 && !zs_read_char(&r, '+', "'+' and the next of three nodes")) return err->status;
        if (!zs_read_op_sets(&r, node, N_OPS, OPS, AN_OP, genes + first_edge(node))) return err->status;
    }
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status super_nasbench201_check(const int *genes, zs_error *err) {
    for (int e = 0; e < N_EDGES; e++)
        if (genes[e] < 0 || genes[e] >= 1 << N_OPS)
            return zs_fail(err, ZS_EARCH, "edge %d: expected a set of operations, 0 to %d, got %d", e, (1 << N_OPS) - 1,
                           genes[e]);
    if (genes[AFFINE] != 0 && genes[AFFINE] != 1)
        return zs_fail(err, ZS_EARCH, "affine: expected 0 or 1, got %d", genes[AFFINE]);
    return ZS_OK;
}

static void super_nasbench201_format(const int *genes, char *out) {
    size_t at = (size_t)snprintf(out, ZS_MAX_ARCH_TEXT, "%s", genes[AFFINE] ? "" : PREFIX);
    for (int node = 1; node < N_CELL_NODES; node++) {
        if (node > 1) out[at++] = '+';
        at += zs_write_op_sets(out + at, ZS_MAX_ARCH_TEXT - at, node, OPS, genes + first_edge(node));
    }
}

static int add_conv(zs_builder *b, const char *prefix, int x, int K, int size, bool affine) {
    zs_attrs bn = zs_attrs_default();
    bn.affine = affine;
    x = zs_add_simple(b, ZS_OP_RELU, zs_named("%.40s.relu_%dx%d", prefix, size, size).text, x);
    x = zs_add_conv(b, zs_named("%.40s.conv_%dx%d", prefix, size, size).text, x, K, size, 1);
    return zs_builder_add(b, ZS_OP_BATCH_NORM, zs_named("%.40s.bn_%dx%d", prefix, size, size).text, 1, &x, NULL, &bn);
}

static void add_edge(zs_builder *b, zs_mean *sum, const char *prefix, int set, int x, int K, bool affine) {
    int of[N_OPS];
    of[NONE] = zs_add_simple(b, ZS_OP_ZERO, zs_named("%.48s.none", prefix).text, x);
    of[SKIP] = zs_add_simple(b, ZS_OP_IDENTITY, zs_named("%.48s.skip", prefix).text, x);
    of[CONV_1X1] = add_conv(b, prefix, x, K, 1, affine);
    of[CONV_3X3] = add_conv(b, prefix, x, K, 3, affine);
    of[AVG_POOL] = zs_add_avg_pool(b, zs_named("%.48s.pool", prefix).text, x, 3, 1, 1);
    for (int op = 0; op < N_OPS; op++)
        if (set >> op & 1) zs_mean_add(sum, of[op], set);
}

static int add_cell(zs_builder *b, const int *genes, int cell, int x, int K) {
    int nodes[N_CELL_NODES] = {x};
    for (int node = 1; node < N_CELL_NODES; node++) {
        zs_mean sum = {0};
        for (int source = 0; source < node; source++)
            add_edge(b, &sum, zs_named("cell%02d.e%d%d", cell, source, node).text, genes[first_edge(node) + source],
                     nodes[source], K, genes[AFFINE]);
        nodes[node] = zs_add_mean(b, zs_named("cell%02d.n%d", cell, node).text, &sum, x, 1);
    }
    return nodes[N_CELL_NODES - 1];
}

static zs_status args_check(const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_super_nasbench201, args, err);
    if (st != ZS_OK) return st;
    if (args->channels > ZS_MAX_DIM / 4)
        return zs_fail(err, ZS_EINVAL, "channels: expected 1 to %d, got %d", ZS_MAX_DIM / 4, args->channels);
    return zs_residual_input_check(args, err);
}

static zs_status super_nasbench201_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
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
            x = zs_add_residual(b, stage, x, K, false);
            zs_builder_set_feature(b, x);
        }
        for (int i = 0; i < args->cells && zs_builder_ok(b); i++) {
            x = add_cell(b, genes, stage * args->cells + i, x, K);
            zs_builder_set_feature(b, x);
        }
    }
    x = zs_add_bn_relu_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}

const zs_space zs_space_super_nasbench201 = {
    .name = "super_nasbench201",
    .n_genes = N_GENES,
    .channels = 16,
    .cells = 5,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = super_nasbench201_parse,
    .check = super_nasbench201_check,
    .format = super_nasbench201_format,
    .build = super_nasbench201_build,
};
