/* NAS-Bench-301 (Zela, Siems, Zimmer, Lukasik, Keuper and Hutter, ICLR 2022): the genotypes of DARTS, whose genes and
   text it shares (darts.c), in networks of 32 channels and 8 cells. ZS_BUILDER_NASLIB builds those of NASLib: batch
   norms in operations have neither gamma nor beta, and one follows each pool. */
#include "spaces/darts_cells.h"

static zs_status nasbench301_parse(const char *text, size_t len, int *genes, zs_error *err) {
    return zs_genotype_parse(&zs_darts_rules, text, len, genes, err);
}

static zs_status nasbench301_check(const int *genes, zs_error *err) {
    return zs_genotype_check(&zs_darts_rules, genes, err);
}

static void nasbench301_format(const int *genes, char *out) {
    zs_genotype_format(&zs_darts_rules, genes, out, ZS_MAX_ARCH_TEXT);
}

static zs_status nasbench301_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_nasbench301, args, err);
    if (st != ZS_OK) return st;
    const zs_genotype genotype = zs_genotype_of_genes(&zs_darts_rules, genes);
    return zs_darts_cells_build(&zs_darts_rules, &genotype, args, graph, err);
}

const zs_space zs_space_nasbench301 = {
    .name = "nasbench301",
    .n_genes = 32,
    .channels = 32,
    .cells = 8,
    .builders = 1u << ZS_BUILDER_AUTODL | 1u << ZS_BUILDER_NASLIB,
    .parse = nasbench301_parse,
    .check = nasbench301_check,
    .format = nasbench301_format,
    .build = nasbench301_build,
};
