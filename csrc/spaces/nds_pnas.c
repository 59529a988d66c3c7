/* PNAS (Liu et al., ECCV 2018) in NDS: cells of five nodes. Text, genes, networks: nds.h. */
#include "spaces/nds.h"

static const int OPS[] = {ZS_CELL_SKIP,         ZS_CELL_MAX_POOL_3X3, ZS_CELL_AVG_POOL_3X3, ZS_CELL_CONV_7X1_1X7,
                          ZS_CELL_SEP_CONV_3X3, ZS_CELL_SEP_CONV_5X5, ZS_CELL_SEP_CONV_7X7, ZS_CELL_DIL_CONV_3X3};

static const zs_genotype_rules RULES = {.n_nodes = 5, .n_ops = sizeof OPS / sizeof OPS[0], .ops = OPS};

static zs_status nds_pnas_parse(const char *text, size_t len, int *genes, zs_error *err) {
    return zs_nds_parse(&RULES, text, len, genes, err);
}

static zs_status nds_pnas_check(const int *genes, zs_error *err) { return zs_nds_check(&RULES, genes, err); }

static void nds_pnas_format(const int *genes, char *out) { zs_nds_format(&RULES, genes, out); }

static zs_status nds_pnas_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    return zs_nds_build(&zs_space_nds_pnas, &RULES, genes, args, graph, err);
}

const zs_space zs_space_nds_pnas = {
    .name = "nds_pnas",
    .n_genes = ZS_NDS_GENES_5,
    .builders = ZS_NDS_BUILDERS,
    .parse = nds_pnas_parse,
    .check = nds_pnas_check,
    .format = nds_pnas_format,
    .build = nds_pnas_build,
};
