/* DARTS (Liu, Simonyan and Yang, ICLR 2019): two cells of four nodes, the text of genotype.h with all nodes
   concatenated. A node reads two states that differ; no operation is `none`. Networks: darts_cells.h; 36 channels and
   20 cells, as DARTS trains what it found, and with ZS_BUILDER_IMAGENET the one for ImageNet (48 and 14 there).

   genes: 8 times operation and source of the normal cell, the same of the reduction cell. */
#include "spaces/darts_cells.h"

enum { N_NODES = 4, N_GENES = 8 * N_NODES };

static const int OPS[] = {ZS_CELL_MAX_POOL_3X3, ZS_CELL_AVG_POOL_3X3, ZS_CELL_SKIP,        ZS_CELL_SEP_CONV_3X3,
                          ZS_CELL_SEP_CONV_5X5, ZS_CELL_DIL_CONV_3X3, ZS_CELL_DIL_CONV_5X5};

const zs_genotype_rules zs_darts_rules = {
    .n_nodes = N_NODES, .n_ops = sizeof OPS / sizeof OPS[0], .ops = OPS, .all_concatenated = true, .two_sources = true};

static zs_status darts_parse(const char *text, size_t len, int *genes, zs_error *err) {
    return zs_genotype_parse(&zs_darts_rules, text, len, genes, err);
}

static zs_status darts_check(const int *genes, zs_error *err) { return zs_genotype_check(&zs_darts_rules, genes, err); }

static void darts_format(const int *genes, char *out) {
    zs_genotype_format(&zs_darts_rules, genes, out, ZS_MAX_ARCH_TEXT);
}

static zs_status darts_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_darts, args, err);
    if (st != ZS_OK) return st;
    const zs_genotype genotype = zs_genotype_of_genes(&zs_darts_rules, genes);
    return zs_darts_cells_build(&zs_darts_rules, &genotype, args, graph, err);
}

const zs_space zs_space_darts = {
    .name = "darts",
    .n_genes = N_GENES,
    .channels = 36,
    .cells = 20,
    .builders = 1u << ZS_BUILDER_AUTODL | 1u << ZS_BUILDER_IMAGENET,
    .parse = darts_parse,
    .check = darts_check,
    .format = darts_format,
    .build = darts_build,
};
