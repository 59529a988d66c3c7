/* TransNAS-Bench-101, its micro space (Duan et al., CVPR 2021), with the head of its classification tasks.

   A code is a base width, a type for each module and six operations, those of node 1, of node 2, of node 3:

       64-41414-a_bc_def        a, b, d from node 0, c, e from node 1, f from node 2
                                0 zero, 1 skip, 2 ReLU, 1x1 convolution, BN, 3 the same 3x3

   The micro space is all cells in modules 64-41414; other modules are read and built as well. Types: 1 plain, 3 halves
   the map, 4 halves it and doubles the channels. The macro space has 2, too, which doubles the channels alone; not
   here, where a skip would be the factorized reduction at stride 1.

   genes: base width; six types, 0 behind the last module; six operations.

       3x3 to half the base width, stride 2, BN | ReLU, 3x3 to the base width, stride 2, BN | modules of two cells |
       global pool, linear

   A node is the sum of its terms. What a module changes, the edges from node 0 of its first cell change: there a skip
   is the factorized reduction of DARTS, and the zero of twice the channels is two zeros side by side. */
#include <stdio.h>

#include "spaces/blocks.h"
#include "spaces/darts_cells.h"

enum { ZERO, SKIP, CONV_1X1, CONV_3X3, N_OPS };
enum { N_NODES = 4, N_EDGES = 6, N_MODULES = 6, LAST_TYPE = 4, N_BASES = 6, SMALLEST_BASE = 4 };
enum { OPS_AT = 1 + N_MODULES, N_GENES = OPS_AT + N_EDGES };

static const char *const BASES[N_BASES] = {"4", "8", "16", "32", "64", "128"};

static bool is_type(int type) { return type == 1 || type == 3 || type == 4; }
static bool doubles(int type) { return type == 4; }
static bool halves(int type) { return type >= 3; }

/* --- text -------------------------------------------------------------------------------------------------------- */

static bool read_modules(zs_reader *r, int *types) {
    for (int i = 0; i < N_MODULES; i++) types[i] = 0;
    for (int i = 0; i < N_MODULES; i++) {
        const size_t at = r->at;
        const char *const expected = i == 0 ? "a module (1, 3 or 4)" : "a module (1, 3 or 4) or '-' and the cell";
        if (i > 0 && at < r->len && r->text[at] == '-') return true;
        types[i] = zs_read_digit(r, LAST_TYPE + 1, expected);
        if (types[i] < 0) return false;
        if (!is_type(types[i])) return zs_read_fail(r, at, expected) == ZS_OK;
    }
    return true;
}

static zs_status transnas_micro_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    const int base = zs_read_word(&r, N_BASES, BASES, "a base width (4, 8, 16, 32, 64 or 128)");
    if (base < 0 || !zs_read_char(&r, '-', "'-' and the modules")) return err->status;
    genes[0] = SMALLEST_BASE << base;
    if (!read_modules(&r, genes + 1)) return err->status;
    int *ops = genes + OPS_AT;
    for (int node = 1; node < N_NODES; node++) {
        char expected[64];
        snprintf(expected, sizeof expected, "'%c' and the operations of node %d", node == 1 ? '-' : '_', node);
        if (!zs_read_char(&r, node == 1 ? '-' : '_', expected)) return err->status;
        snprintf(expected, sizeof expected, "%d operation%s of node %d (0 to %d)", node, node == 1 ? "" : "s", node,
                 N_OPS - 1);
        for (int source = 0; source < node; source++) {
            *ops = zs_read_digit(&r, N_OPS, expected);
            if (*ops++ < 0) return err->status;
        }
    }
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status transnas_micro_check(const int *genes, zs_error *err) {
    int base = 0;
    while (base < N_BASES && genes[0] != SMALLEST_BASE << base) base++;
    if (base == N_BASES)
        return zs_fail(err, ZS_EARCH, "base width: expected 4, 8, 16, 32, 64 or 128, got %d", genes[0]);
    for (int i = 0; i < N_MODULES; i++) {
        const int type = genes[1 + i];
        if (!is_type(type) && (i == 0 || type != 0))
            return zs_fail(err, ZS_EARCH, "module %d: expected 1, 3 or 4%s, got %d", i, i == 0 ? "" : ", or 0 for none",
                           type);
        if (i > 0 && type > 0 && genes[i] == 0)
            return zs_fail(err, ZS_EARCH, "module %d: expected 0, as the one before is 0, got %d", i, type);
    }
    for (int e = 0; e < N_EDGES; e++)
        if (genes[OPS_AT + e] < 0 || genes[OPS_AT + e] >= N_OPS)
            return zs_fail(err, ZS_EARCH, "operation %d: expected 0 to %d, got %d", e, N_OPS - 1, genes[OPS_AT + e]);
    return ZS_OK;
}

static void transnas_micro_format(const int *genes, char *out) {
    char modules[N_MODULES + 1] = "";
    for (int i = 0; i < N_MODULES && genes[1 + i] > 0; i++) modules[i] = (char)('0' + genes[1 + i]);
    const int *op = genes + OPS_AT;
    snprintf(out, ZS_MAX_ARCH_TEXT, "%d-%s-%d_%d%d_%d%d%d", genes[0], modules, op[0], op[1], op[2], op[3], op[4],
             op[5]);
}

/* --- network ----------------------------------------------------------------------------------------------------- */

#define N(...) zs_named(__VA_ARGS__).text

static int add_zero(zs_builder *b, const char *prefix, int x, int K, int stride) {
    zs_attrs attrs = zs_attrs_default();
    attrs.stride = stride;
    const int C = zs_builder_shape(b, x).C;
    x = zs_builder_add(b, ZS_OP_ZERO, N("%.40s.none", prefix), 1, &x, NULL, &attrs);
    if (C == K) return x;
    return zs_builder_add(b, ZS_OP_CONCAT, N("%.40s.twice", prefix), 2, (const int[]){x, x}, NULL, NULL);
}

static int add_edge(zs_builder *b, const char *prefix, int op, int x, int K, int stride) {
    switch (op) {
    case ZERO: return add_zero(b, prefix, x, K, stride);
    case SKIP:
        return stride == 1 ? zs_add_simple(b, ZS_OP_IDENTITY, N("%.40s.skip", prefix), x)
                           : zs_add_factorized_reduce(b, prefix, x, K, true);
    default: ZS_ASSERT(op == CONV_1X1 || op == CONV_3X3);
    }
    return zs_add_relu_conv_bn(b, N("%.40s.relu", prefix), N("%.40s.conv", prefix), N("%.40s.bn", prefix), x, K,
                               op == CONV_1X1 ? 1 : 3, stride);
}

static int add_cell(zs_builder *b, const int *op, int module, int cell, int x, int K, int stride) {
    int nodes[N_NODES] = {x};
    for (int node = 1; node < N_NODES && zs_builder_ok(b); node++) {
        int terms[N_NODES];
        for (int source = 0; source < node; source++) {
            const zs_node_name prefix = zs_named("m%d.cell%02d.e%d%d", module, cell, source, node);
            terms[source] = add_edge(b, prefix.text, *op++, nodes[source], K, source == 0 ? stride : 1);
        }
        nodes[node] = node == 1 ? terms[0] : zs_add_sum(b, N("m%d.cell%02d.n%d", module, cell, node), node, terms);
    }
    return nodes[N_NODES - 1];
}

static zs_status args_check(const int *genes, const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_transnas_micro, args, err);
    if (st != ZS_OK) return st;
    int times = 4; /* the stem halves the image twice */
    for (int i = 0; i < N_MODULES; i++) times *= halves(genes[1 + i]) ? 2 : 1;
    if (args->input.H % times != 0 || args->input.W % times != 0)
        return zs_fail(err, ZS_EINVAL, "input size: expected multiples of %d, as these modules halve it, got %d x %d",
                       times, args->input.H, args->input.W);
    return ZS_OK;
}

static zs_status transnas_micro_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = args_check(genes, args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    int K = genes[0];
    int x = zs_add_conv(b, "stem.conv", 0, K / 2, 3, 2);
    x = zs_add_bn(b, "stem.bn", x);
    x = zs_add_relu_conv_bn(b, "stem.relu", "stem.conv2", "stem.bn2", x, K, 3, 2);
    zs_builder_set_feature(b, x);
    for (int module = 0; module < N_MODULES && genes[1 + module] > 0; module++) {
        const int type = genes[1 + module];
        K *= doubles(type) ? 2 : 1;
        for (int i = 0; i < args->cells && zs_builder_ok(b); i++) {
            x = add_cell(b, genes + OPS_AT, module, i, x, K, i == 0 && halves(type) ? 2 : 1);
            zs_builder_set_feature(b, x);
        }
    }
    x = zs_add_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}

const zs_space zs_space_transnas_micro = {
    .name = "transnas_micro",
    .n_genes = N_GENES,
    .channels = 0,
    .cells = 2,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = transnas_micro_parse,
    .check = transnas_micro_check,
    .format = transnas_micro_format,
    .build = transnas_micro_build,
};
