/* The five spaces of cells in NDS (Radosavovic, Johnson, Xie, Lo and Dollar, ICCV 2019): of each record the width, the
   depth and the genotype (genotype.h) of a network as DARTS builds it (darts_cells.h).

       w=32;d=20;Genotype(...)

   genes: width, depth, then those of the genotype. Which operations and how many nodes: each space's own file. */
#ifndef ZS_SPACES_NDS_H
#define ZS_SPACES_NDS_H

#include "spaces/darts_cells.h"

enum {
    ZS_NDS_MAX_WIDTH = 4096,
    ZS_NDS_MAX_DEPTH = 1024,
    ZS_NDS_GENES_4 = 2 + 2 * 5 * 4, /* of cells with 4 nodes, and with 5 */
    ZS_NDS_GENES_5 = 2 + 2 * 5 * 5,
    ZS_NDS_BUILDERS = 1u << ZS_BUILDER_AUTODL | 1u << ZS_BUILDER_IMAGENET,
};

zs_status zs_nds_parse(const zs_genotype_rules *rules, const char *text, size_t len, int *genes, zs_error *err);
zs_status zs_nds_check(const zs_genotype_rules *rules, const int *genes, zs_error *err);
void zs_nds_format(const zs_genotype_rules *rules, const int *genes, char *out);
zs_status zs_nds_build(const zs_space *space, const zs_genotype_rules *rules, const int *genes,
                       const zs_space_args *args, zs_graph **graph, zs_error *err);

#endif
