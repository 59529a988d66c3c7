#include "spaces/darts_cells.h"

#include "spaces/blocks.h"

typedef enum op_kind { NONE, SKIP, AVG_POOL, MAX_POOL, CONV, ROW_COLUMN, SEPARABLE } op_kind;

static const struct {
    const char *name;
    op_kind kind;
    int size;
    int dil, times; /* separable convolutions one after the other */
} OPS[ZS_N_CELL_OPS] = {
    [ZS_CELL_NONE] = {"none", NONE, 0, 0, 0},
    [ZS_CELL_SKIP] = {"skip_connect", SKIP, 0, 0, 0},
    [ZS_CELL_AVG_POOL_3X3] = {"avg_pool_3x3", AVG_POOL, 3, 0, 0},
    [ZS_CELL_MAX_POOL_3X3] = {"max_pool_3x3", MAX_POOL, 3, 0, 0},
    [ZS_CELL_MAX_POOL_5X5] = {"max_pool_5x5", MAX_POOL, 5, 0, 0},
    [ZS_CELL_MAX_POOL_7X7] = {"max_pool_7x7", MAX_POOL, 7, 0, 0},
    [ZS_CELL_CONV_1X1] = {"conv_1x1", CONV, 1, 0, 0},
    [ZS_CELL_CONV_3X3] = {"conv_3x3", CONV, 3, 0, 0},
    [ZS_CELL_CONV_3X1_1X3] = {"conv_3x1_1x3", ROW_COLUMN, 3, 0, 0},
    [ZS_CELL_CONV_7X1_1X7] = {"conv_7x1_1x7", ROW_COLUMN, 7, 0, 0},
    [ZS_CELL_SEP_CONV_3X3] = {"sep_conv_3x3", SEPARABLE, 3, 1, 2},
    [ZS_CELL_SEP_CONV_5X5] = {"sep_conv_5x5", SEPARABLE, 5, 1, 2},
    [ZS_CELL_SEP_CONV_7X7] = {"sep_conv_7x7", SEPARABLE, 7, 1, 2},
    [ZS_CELL_DIL_CONV_3X3] = {"dil_conv_3x3", SEPARABLE, 3, 2, 1},
    [ZS_CELL_DIL_CONV_5X5] = {"dil_conv_5x5", SEPARABLE, 5, 2, 1},
    [ZS_CELL_DIL_SEP_CONV_3X3] = {"dil_sep_conv_3x3", SEPARABLE, 3, 2, 2},
};

const char *zs_cell_op_name(int op) {
    ZS_ASSERT(op >= 0 && op < (int)ZS_N_CELL_OPS);
    return OPS[op].name;
}

/* --- operations -------------------------------------------------------------------------------------------------- */

#define N(...) zs_named(__VA_ARGS__).text /* `prefix` has at most 40 characters */

static int add_bn(zs_builder *b, const char *name, int x, bool affine) {
    zs_attrs attrs = zs_attrs_default();
    attrs.affine = affine;
    return zs_builder_add(b, ZS_OP_BATCH_NORM, name, 1, &x, NULL, &attrs);
}

static int add_relu_conv_bn(zs_builder *b, const char *prefix, int x, int K, int size, int stride, bool affine) {
    x = zs_add_simple(b, ZS_OP_RELU, N("%.40s.relu", prefix), x);
    x = zs_add_conv(b, N("%.40s.conv", prefix), x, K, size, stride);
    return add_bn(b, N("%.40s.bn", prefix), x, affine);
}

/* ReLU, a filter on each channel, 1x1 convolution, BN; twice, the second time without the stride. */
static int add_separable(zs_builder *b, const char *prefix, zs_cell_op op, int x, int stride, bool affine) {
    const int C = zs_builder_shape(b, x).C, size = OPS[op].size, dil = OPS[op].dil, pad = dil * (size / 2);
    for (int i = 0; i < OPS[op].times; i++) {
        const int s = i == 0 ? stride : 1;
        const char *suffix = OPS[op].times == 1 ? "" : i == 0 ? "_a" : "_b";
        x = zs_add_simple(b, ZS_OP_RELU, N("%.40s.relu%s", prefix, suffix), x);
        const zs_window window = {size, size, s, s, pad, pad, dil, dil};
        x = zs_add_window_conv(b, N("%.40s.depth%s", prefix, suffix), x, C, window, C, false);
        x = zs_add_conv(b, N("%.40s.point%s", prefix, suffix), x, C, 1, 1);
        x = add_bn(b, N("%.40s.bn%s", prefix, suffix), x, affine);
    }
    return x;
}

/* The row first; neither BN nor ReLU between. */
static int add_row_column(zs_builder *b, const char *prefix, int size, int x, int stride, bool affine) {
    const int C = zs_builder_shape(b, x).C, pad = size / 2;
    x = zs_add_simple(b, ZS_OP_RELU, N("%.40s.relu", prefix), x);
    const zs_window row = {1, size, 1, stride, 0, pad, 1, 1}, column = {size, 1, stride, 1, pad, 0, 1, 1};
    x = zs_add_window_conv(b, N("%.40s.row", prefix), x, C, row, 1, false);
    x = zs_add_window_conv(b, N("%.40s.column", prefix), x, C, column, 1, false);
    return add_bn(b, N("%.40s.bn", prefix), x, affine);
}

static int add_pool(zs_builder *b, const char *prefix, zs_cell_op op, int x, int stride, bool bn, bool affine) {
    const zs_node_name name = zs_named("%.40s.pool", prefix);
    const int size = OPS[op].size;
    x = OPS[op].kind == AVG_POOL ? zs_add_avg_pool(b, name.text, x, size, stride, size / 2)
                                 : zs_add_max_pool(b, name.text, x, size, stride, size / 2);
    return bn ? add_bn(b, N("%.40s.bn", prefix), x, affine) : x;
}

static int add_zero(zs_builder *b, const char *name, int x, int stride) {
    zs_attrs attrs = zs_attrs_default();
    attrs.stride = stride;
    return zs_builder_add(b, ZS_OP_ZERO, name, 1, &x, NULL, &attrs);
}

int zs_add_factorized_reduce(zs_builder *b, const char *prefix, int x, int K, bool affine) {
    const zs_window point = {1, 1, 2, 2, 0, 0, 1, 1};
    x = zs_add_simple(b, ZS_OP_RELU, N("%.40s.relu", prefix), x);
    const int even = zs_add_window_conv(b, N("%.40s.conv_a", prefix), x, K / 2, point, 1, false);
    x = zs_add_simple(b, ZS_OP_SHIFT, N("%.40s.shift", prefix), x);
    const int odd = zs_add_window_conv(b, N("%.40s.conv_b", prefix), x, K - K / 2, point, 1, false);
    x = zs_builder_add(b, ZS_OP_CONCAT, N("%.40s.concat", prefix), 2, (const int[]){even, odd}, NULL, NULL);
    return add_bn(b, N("%.40s.bn", prefix), x, affine);
}

int zs_add_cell_input(zs_builder *b, const char *prefix, int x, int K, bool halve, bool affine) {
    return halve ? zs_add_factorized_reduce(b, prefix, x, K, affine) : add_relu_conv_bn(b, prefix, x, K, 1, 1, affine);
}

int zs_add_cell_op(zs_builder *b, const char *prefix, zs_cell_op op, int x, int stride, zs_cell_style style) {
    const int C = zs_builder_shape(b, x).C;
    switch (OPS[op].kind) {
    case NONE: return add_zero(b, N("%.40s.none", prefix), x, stride);
    case SKIP:
        return stride == 1 ? zs_add_simple(b, ZS_OP_IDENTITY, N("%.40s.skip", prefix), x)
                           : zs_add_factorized_reduce(b, prefix, x, C, style.affine);
    case AVG_POOL:
    case MAX_POOL: return add_pool(b, prefix, op, x, stride, style.pool_bn, style.affine);
    case CONV: return add_relu_conv_bn(b, prefix, x, C, OPS[op].size, stride, style.affine);
    case ROW_COLUMN: return add_row_column(b, prefix, OPS[op].size, x, stride, style.affine);
    default: ZS_ASSERT(OPS[op].kind == SEPARABLE);
    }
    return add_separable(b, prefix, op, x, stride, style.affine);
}

/* --- cells ------------------------------------------------------------------------------------------------------- */

typedef struct cell_place {
    int number, K;
    bool reduction, after_reduction;
} cell_place;

static int add_cell(zs_builder *b, int n_nodes, const zs_cell *cell, cell_place at, int s0, int s1,
                    zs_cell_style style) {
    int states[2 + ZS_CELL_NODES], parts[ZS_CELL_NODES], n_parts = 0;
    states[0] = zs_add_cell_input(b, N("cell%02d.in0", at.number), s0, at.K, at.after_reduction, true);
    states[1] = zs_add_cell_input(b, N("cell%02d.in1", at.number), s1, at.K, false, true);
    for (int node = 2; node < n_nodes + 2; node++) {
        int terms[2];
        for (int k = 0; k < 2; k++) {
            const int i = 2 * (node - 2) + k, source = cell->source[i], stride = at.reduction && source < 2 ? 2 : 1;
            const zs_node_name prefix = zs_named("cell%02d.n%d%c", at.number, node, 'a' + k);
            terms[k] = zs_add_cell_op(b, prefix.text, (zs_cell_op)cell->op[i], states[source], stride, style);
        }
        states[node] = zs_add_sum(b, N("cell%02d.n%d", at.number, node), 2, terms);
        if (cell->concat >> node & 1) parts[n_parts++] = states[node];
    }
    for (int state = 0; state < n_nodes + 2; state++) zs_builder_set_runs(b, states[state]);
    if (n_parts == 1) return parts[0];
    return zs_builder_add(b, ZS_OP_CONCAT, N("cell%02d.concat", at.number), n_parts, parts, NULL, NULL);
}

/* --- networks ---------------------------------------------------------------------------------------------------- */

static zs_status args_check(const zs_space_args *args, zs_error *err) {
    const bool is_imagenet = args->builder == ZS_BUILDER_IMAGENET;
    const int halvings = is_imagenet ? 5 : 2, multiple = 1 << halvings;
    if (args->input.H % multiple != 0 || args->input.W % multiple != 0)
        return zs_fail(err, ZS_EINVAL, "input size: expected multiples of %d (it is halved %d times), got %d x %d",
                       multiple, halvings, args->input.H, args->input.W);
    if (is_imagenet && args->channels < 2)
        return zs_fail(err, ZS_EINVAL, "channels: expected at least 2, as the stem starts with half of them, got %d",
                       args->channels);
    return ZS_OK;
}

static void add_cifar_stem(zs_builder *b, int C, int *s0, int *s1) {
    const int x = zs_add_conv(b, "stem.conv", 0, 3 * C, 3, 1);
    *s0 = *s1 = zs_add_bn(b, "stem.bn", x);
    zs_builder_set_feature(b, *s1);
}

static void add_imagenet_stem(zs_builder *b, int C, int *s0, int *s1) {
    int x = zs_add_conv(b, "stem0.conv_a", 0, C / 2, 3, 2);
    x = zs_add_bn(b, "stem0.bn_a", x);
    x = zs_add_simple(b, ZS_OP_RELU, "stem0.relu", x);
    x = zs_add_conv(b, "stem0.conv_b", x, C, 3, 2);
    *s0 = zs_add_bn(b, "stem0.bn_b", x);
    x = zs_add_simple(b, ZS_OP_RELU, "stem1.relu", *s0);
    x = zs_add_conv(b, "stem1.conv", x, C, 3, 2);
    *s1 = zs_add_bn(b, "stem1.bn", x);
    zs_builder_set_feature(b, *s0);
    zs_builder_set_feature(b, *s1);
}

zs_status zs_darts_cells_build(const zs_genotype_rules *rules, const zs_genotype *genotype, const zs_space_args *args,
                               zs_graph **graph, zs_error *err) {
    const zs_status st = args_check(args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    const bool is_imagenet = args->builder == ZS_BUILDER_IMAGENET, is_naslib = args->builder == ZS_BUILDER_NASLIB;
    const zs_cell_style style = {.affine = !is_naslib, .pool_bn = is_naslib};
    int s0, s1;
    (is_imagenet ? add_imagenet_stem : add_cifar_stem)(b, args->channels, &s0, &s1);
    cell_place at = {.K = args->channels, .reduction = is_imagenet};
    for (int i = 0; i < args->cells && zs_builder_ok(b); i++) {
        at.number = i;
        at.after_reduction = at.reduction;
        at.reduction = i == args->cells / 3 || i == 2 * args->cells / 3;
        if (at.reduction) at.K *= 2;
        const int out =
            add_cell(b, rules->n_nodes, at.reduction ? &genotype->reduce : &genotype->normal, at, s0, s1, style);
        zs_builder_set_feature(b, out);
        s0 = s1;
        s1 = out;
    }
    const int logits = zs_add_head(b, s1, args->num_classes);
    return zs_builder_finish(b, logits, graph, err);
}
