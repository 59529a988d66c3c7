/* The supernet of DARTS in the form of TE-NAS (Chen, Gong and Wang, ICLR 2021): every edge of the two cells holds a set
   of the operations and computes their mean.

       depth=2;stem=3;affine=0;normal=|op,op~0|op~1|+|op~0|op~1|op~2|+...;reduce=|...

   Nodes 2 .. 5 follow each other; node i reads all i states before it, 0 and 1 are the cell's inputs. A set may be
   empty. All before `normal` may be left out: a network ends after `depth` cells, its stem is `stem` (1) times as wide
   as the first cell, batch norms inside cells have no gamma and beta where affine=0.

   genes: the 14 sets of the normal cell as bits, then those of the reduction cell, depth (0: all cells), stem, affine.

       stem 3x3, BN | N cells at C | reduction to 2C | N-1 cells | reduction to 4C | N-1 cells |
       BN, ReLU, global pool, linear

   All eight operations of every edge have weights, whatever the sets (see super_nasbench201.c). TE-NAS scores C = 1,
   N = 1, depth 2. */
#include <stdio.h>

#include "spaces/darts_cells.h"
#include "spaces/op_sets.h"

enum { N_OPS = 8, N_NODES = 4, N_EDGES = 14, MAX_NUMBER = 99 };
enum { NORMAL = 0, REDUCE = N_EDGES, DEPTH = 2 * N_EDGES, STEM, AFFINE, N_GENES };

static const zs_cell_op OPS[N_OPS] = {
    ZS_CELL_NONE,         ZS_CELL_SKIP,         ZS_CELL_SEP_CONV_3X3, ZS_CELL_SEP_CONV_5X5,
    ZS_CELL_DIL_CONV_3X3, ZS_CELL_DIL_CONV_5X5, ZS_CELL_AVG_POOL_3X3, ZS_CELL_MAX_POOL_3X3,
};
static const char *const NAMES[N_OPS] = {
    "none",         "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
    "dil_conv_3x3", "dil_conv_5x5", "avg_pool_3x3", "max_pool_3x3",
};
static const char AN_OP[] = "an operation (none, skip_connect, sep_conv_3x3, sep_conv_5x5, dil_conv_3x3, dil_conv_5x5, "
                            "avg_pool_3x3 or max_pool_3x3)";

/* Of node 2 + i: it has 2 + i edges. */
static int first_edge(int i) { return i * (i + 3) / 2; }

/* --- text -------------------------------------------------------------------------------------------------------- */

/* key=number; if it is there */
static bool read_option(zs_reader *r, const char *key, int *value) {
    if (!zs_read_if(r, key)) return true;
    *value = zs_read_number(r, 1, MAX_NUMBER, "1 to 99, without zeros before it");
    return *value > 0 && zs_read_char(r, ';', "';'");
}

static bool read_cell(zs_reader *r, const char *key, const char *expected, int *sets) {
    if (!zs_read_literal(r, key, expected)) return false;
    for (int i = 0; i < N_NODES; i++) {
        if (i > 0 && !zs_read_char(r, '+', "'+' and the next of four nodes")) return false;
        if (!zs_read_op_sets(r, 2 + i, N_OPS, NAMES, AN_OP, sets + first_edge(i))) return false;
    }
    return true;
}

static zs_status super_darts_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    genes[DEPTH] = 0;
    genes[STEM] = 1;
    if (!read_option(&r, "depth=", &genes[DEPTH]) || !read_option(&r, "stem=", &genes[STEM])) return err->status;
    genes[AFFINE] = !zs_read_if(&r, "affine=");
    if (!genes[AFFINE] && !zs_read_literal(&r, "0;", "'affine=0;'")) return err->status;
    static const char START[] = "'normal=', before which may come depth=, stem= and affine=0 in this order";
    if (!read_cell(&r, "normal=", START, genes + NORMAL) || !zs_read_char(&r, ';', "';' and the reduction cell") ||
        !read_cell(&r, "reduce=", "'reduce='", genes + REDUCE))
        return err->status;
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status super_darts_check(const int *genes, zs_error *err) {
    for (int e = 0; e < 2 * N_EDGES; e++)
        if (genes[e] < 0 || genes[e] >= 1 << N_OPS)
            return zs_fail(err, ZS_EARCH, "edge %d of the %s cell: expected a set of operations, 0 to %d, got %d",
                           e % N_EDGES, e < REDUCE ? "normal" : "reduction", (1 << N_OPS) - 1, genes[e]);
    if (genes[DEPTH] < 0 || genes[DEPTH] > MAX_NUMBER)
        return zs_fail(err, ZS_EARCH, "depth: expected 0 (all cells) to %d, got %d", MAX_NUMBER, genes[DEPTH]);
    if (genes[STEM] < 1 || genes[STEM] > MAX_NUMBER)
        return zs_fail(err, ZS_EARCH, "stem: expected 1 to %d, got %d", MAX_NUMBER, genes[STEM]);
    if (genes[AFFINE] != 0 && genes[AFFINE] != 1)
        return zs_fail(err, ZS_EARCH, "affine: expected 0 or 1, got %d", genes[AFFINE]);
    return ZS_OK;
}

static size_t write_cell(char *out, size_t room, const char *key, const int *sets) {
    size_t at = (size_t)snprintf(out, room, "%s", key);
    for (int i = 0; i < N_NODES; i++) {
        if (i > 0) out[at++] = '+';
        at += zs_write_op_sets(out + at, room - at, 2 + i, NAMES, sets + first_edge(i));
    }
    return at;
}

static void super_darts_format(const int *genes, char *out) {
    size_t at = 0;
    if (genes[DEPTH] > 0) at += (size_t)snprintf(out, ZS_MAX_ARCH_TEXT, "depth=%d;", genes[DEPTH]);
    if (genes[STEM] > 1) at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, "stem=%d;", genes[STEM]);
    if (!genes[AFFINE]) at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, "affine=0;");
    at += write_cell(out + at, ZS_MAX_ARCH_TEXT - at, "normal=", genes + NORMAL);
    write_cell(out + at, ZS_MAX_ARCH_TEXT - at, ";reduce=", genes + REDUCE);
}

/* --- network ----------------------------------------------------------------------------------------------------- */

typedef struct cell_place {
    int number, K;
    bool reduction, after_reduction, affine;
} cell_place;

static int add_cell(zs_builder *b, const int *sets, cell_place at, int s0, int s1) {
    const zs_cell_style style = {.affine = at.affine};
    int states[2 + N_NODES];
    states[0] = zs_add_cell_input(b, zs_named("cell%02d.in0", at.number).text, s0, at.K, at.after_reduction, at.affine);
    states[1] = zs_add_cell_input(b, zs_named("cell%02d.in1", at.number).text, s1, at.K, false, at.affine);
    for (int i = 0; i < N_NODES; i++) {
        zs_mean sum = {0};
        for (int source = 0; source < 2 + i; source++) {
            const int set = sets[first_edge(i) + source], stride = at.reduction && source < 2 ? 2 : 1;
            for (int op = 0; op < N_OPS; op++) {
                const zs_node_name prefix = zs_named("cell%02d.e%d%d.%s", at.number, source, 2 + i, NAMES[op]);
                const int y = zs_add_cell_op(b, prefix.text, OPS[op], states[source], stride, style);
                if (set >> op & 1) zs_mean_add(&sum, y, set);
            }
        }
        states[2 + i] =
            zs_add_mean(b, zs_named("cell%02d.n%d", at.number, 2 + i).text, &sum, states[0], at.reduction ? 2 : 1);
    }
    return zs_builder_add(b, ZS_OP_CONCAT, zs_named("cell%02d.concat", at.number).text, N_NODES, states + 2, NULL,
                          NULL);
}

static zs_status args_check(const int *genes, const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_super_darts, args, err);
    if (st != ZS_OK) return st;
    if (args->channels > ZS_MAX_DIM / (4 * MAX_NUMBER))
        return zs_fail(err, ZS_EINVAL, "channels: expected 1 to %d, got %d", ZS_MAX_DIM / (4 * MAX_NUMBER),
                       args->channels);
    if (args->cells > MAX_NUMBER)
        return zs_fail(err, ZS_EINVAL, "cells: expected 1 to %d, got %d", MAX_NUMBER, args->cells);
    if (genes[DEPTH] > 3 * args->cells)
        return zs_fail(err, ZS_EINVAL, "depth: expected at most the %d cells that cells=%d gives, got %d",
                       3 * args->cells, args->cells, genes[DEPTH]);
    if (args->input.H % 4 != 0 || args->input.W % 4 != 0)
        return zs_fail(err, ZS_EINVAL, "input size: expected multiples of 4 (it is halved twice), got %d x %d",
                       args->input.H, args->input.W);
    return ZS_OK;
}

static zs_status super_darts_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = args_check(genes, args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    const int N = args->cells, n_cells = genes[DEPTH] > 0 ? genes[DEPTH] : 3 * N;
    cell_place at = {.K = args->channels, .affine = genes[AFFINE]};
    int s1 = zs_add_conv(b, "stem.conv", 0, genes[STEM] * at.K, 3, 1);
    int s0 = s1 = zs_add_bn(b, "stem.bn", s1);
    zs_builder_set_feature(b, s1);
    for (int i = 0; i < n_cells && zs_builder_ok(b); i++) {
        at.number = i;
        at.after_reduction = at.reduction;
        at.reduction = i == N || i == 2 * N;
        if (at.reduction) at.K *= 2;
        const int out = add_cell(b, genes + (at.reduction ? REDUCE : NORMAL), at, s0, s1);
        zs_builder_set_feature(b, out);
        s0 = s1;
        s1 = out;
    }
    const int logits = zs_add_bn_relu_head(b, s1, args->num_classes);
    return zs_builder_finish(b, logits, graph, err);
}

const zs_space zs_space_super_darts = {
    .name = "super_darts",
    .n_genes = N_GENES,
    .channels = 16,
    .cells = 1,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = super_darts_parse,
    .check = super_darts_check,
    .format = super_darts_format,
    .build = super_darts_build,
};
