/* Operations, cells and networks of DARTS (Liu, Simonyan and Yang, ICLR 2019), which NAS-Bench-301 and NDS share.

       stem 3x3 to 3C, BN | L cells, those at L/3 and 2L/3 halve the map and double the width | global pool, linear

   A cell reads the outputs s0, s1 of the two before it (the stem's twice, at the start), each brought to its own width
   by ReLU, 1x1 convolution, BN; s0 by a factorized reduction where its map is still twice as large. Operations of a
   reduction cell that read one of these have stride 2.

   The network for ImageNet has another stem, of three convolutions of stride 2: the first cell's s0 is of H/4, s1 of
   H/8. */
#ifndef ZS_SPACES_DARTS_CELLS_H
#define ZS_SPACES_DARTS_CELLS_H

#include "core/builder.h"
#include "spaces/genotype.h"

typedef enum zs_cell_op {
    ZS_CELL_NONE,
    ZS_CELL_SKIP,
    ZS_CELL_AVG_POOL_3X3,
    ZS_CELL_MAX_POOL_3X3,
    ZS_CELL_MAX_POOL_5X5,
    ZS_CELL_MAX_POOL_7X7,
    ZS_CELL_CONV_1X1,
    ZS_CELL_CONV_3X3,
    ZS_CELL_CONV_3X1_1X3,
    ZS_CELL_CONV_7X1_1X7,
    ZS_CELL_SEP_CONV_3X3,
    ZS_CELL_SEP_CONV_5X5,
    ZS_CELL_SEP_CONV_7X7,
    ZS_CELL_DIL_CONV_3X3,
    ZS_CELL_DIL_CONV_5X5,
    ZS_CELL_DIL_SEP_CONV_3X3,
    ZS_N_CELL_OPS
} zs_cell_op;

const char *zs_cell_op_name(int op); /* "sep_conv_3x3" */

/* Where builders differ: batch norms inside operations have gamma and beta; pools are followed by one. */
typedef struct zs_cell_style {
    bool affine;
    bool pool_bn;
} zs_cell_style;

/* From x, of any width, to the same width; nodes <prefix>.<part>. */
int zs_add_cell_op(zs_builder *b, const char *prefix, zs_cell_op op, int x, int stride, zs_cell_style style);
/* ReLU, then side by side a 1x1 convolution of stride 2 to K/2 channels and one to the rest, which reads the map
   shifted by a pixel, BN. The map has even sizes, and K is at least 2. */
int zs_add_factorized_reduce(zs_builder *b, const char *prefix, int x, int K, bool affine);
/* What brings an input of a cell to its width K. */
int zs_add_cell_input(zs_builder *b, const char *prefix, int x, int K, bool halve, bool affine);

/* C = args->channels, L = args->cells; ZS_BUILDER_IMAGENET and ZS_BUILDER_NASLIB are known here. */
zs_status zs_darts_cells_build(const zs_genotype_rules *rules, const zs_genotype *genotype, const zs_space_args *args,
                               zs_graph **graph, zs_error *err);

extern const zs_genotype_rules zs_darts_rules; /* of DARTS and NAS-Bench-301: darts.c */

#endif
