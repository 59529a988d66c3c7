/* The size space of NATS-Bench (Dong, Liu, Musial and Gabrys, TPAMI 2021): five widths of one fixed cell's network.

       c1:c2:c3:c4:c5          each one of 8, 16, ..., 64

   genes: the five widths.

       stem 3x3 to c1, BN | cell c1 to c1 | residual to c2, stride 2 | cell c2 to c3 | residual to c4, stride 2 |
       cell c4 to c5 | BN, ReLU, global pool, linear

   The cell is |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2| of
   NAS-Bench-201. Edges from its input change the width; where they do, the skip is a 1x1 convolution and a batch norm,
   without a ReLU. */
#include <stdio.h>

#include "spaces/blocks.h"

enum { N_WIDTHS = 5, N_CHOICES = 8 };

static const char *const WIDTHS[N_CHOICES] = {"8", "16", "24", "32", "40", "48", "56", "64"};

static int width_of(int choice) { return 8 * (choice + 1); }

static zs_status nats_sss_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    for (int i = 0; i < N_WIDTHS; i++) {
        if (i > 0 && !zs_read_char(&r, ':', "':' and the next of 5 widths")) return err->status;
        const int choice = zs_read_word(&r, N_CHOICES, WIDTHS, "a width (8, 16, 24, 32, 40, 48, 56 or 64)");
        if (choice < 0) return err->status;
        genes[i] = width_of(choice);
    }
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status nats_sss_check(const int *genes, zs_error *err) {
    for (int i = 0; i < N_WIDTHS; i++)
        if (genes[i] < width_of(0) || genes[i] > width_of(N_CHOICES - 1) || genes[i] % 8 != 0)
            return zs_fail(err, ZS_EARCH, "width %d: expected a multiple of 8 from %d to %d, got %d", i, width_of(0),
                           width_of(N_CHOICES - 1), genes[i]);
    return ZS_OK;
}

static void nats_sss_format(const int *genes, char *out) {
    snprintf(out, ZS_MAX_ARCH_TEXT, "%d:%d:%d:%d:%d", genes[0], genes[1], genes[2], genes[3], genes[4]);
}

static int add_conv_edge(zs_builder *b, int cell, int source, int node, int x, int K) {
#define N(part) zs_named("cell%02d.e%d%d." part, cell, source, node).text
    return zs_add_relu_conv_bn(b, N("relu"), N("conv"), N("bn"), x, K, 3, 1);
}

static int add_skip_edge(zs_builder *b, int cell, int source, int node, int x, int K) {
    if (zs_builder_shape(b, x).C == K) return zs_add_simple(b, ZS_OP_IDENTITY, N("skip"), x);
    x = zs_add_conv(b, N("conv"), x, K, 1, 1);
    return zs_add_bn(b, N("bn"), x);
#undef N
}

static int add_cell(zs_builder *b, int cell, int x, int K) {
    const int n1 = add_conv_edge(b, cell, 0, 1, x, K);
    const int e02 = add_conv_edge(b, cell, 0, 2, x, K);
    const int e12 = add_conv_edge(b, cell, 1, 2, n1, K);
    const int n2 = zs_add_sum(b, zs_named("cell%02d.n2", cell).text, 2, (const int[]){e02, e12});
    const int e03 = add_skip_edge(b, cell, 0, 3, x, K);
    const int e13 = add_conv_edge(b, cell, 1, 3, n1, K);
    const int e23 = add_conv_edge(b, cell, 2, 3, n2, K);
    return zs_add_sum(b, zs_named("cell%02d.n3", cell).text, 3, (const int[]){e03, e13, e23});
}

static zs_status args_check(const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_nats_sss, args, err);
    if (st != ZS_OK) return st;
    if (args->cells != 1)
        return zs_fail(err, ZS_EINVAL, "cells: expected 1, as nats_sss has a width for each of its cells, got %d",
                       args->cells);
    return zs_residual_input_check(args, err);
}

static zs_status nats_sss_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = args_check(args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    int x = zs_add_conv(b, "stem.conv", 0, genes[0], 3, 1);
    x = zs_add_bn(b, "stem.bn", x);
    zs_builder_set_feature(b, x);
    for (int stage = 0; stage <= 2; stage++) { /* a residual block before all cells but the first */
        if (stage > 0) {
            x = zs_add_residual(b, stage, x, genes[2 * stage - 1], false);
            zs_builder_set_feature(b, x);
        }
        x = add_cell(b, stage, x, genes[2 * stage]);
        zs_builder_set_feature(b, x);
    }
    x = zs_add_bn_relu_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}

const zs_space zs_space_nats_sss = {
    .name = "nats_sss",
    .n_genes = N_WIDTHS,
    .channels = 0,
    .cells = 1,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = nats_sss_parse,
    .check = nats_sss_check,
    .format = nats_sss_format,
    .build = nats_sss_build,
};
