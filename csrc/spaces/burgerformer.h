/* What is common to the text and the network of BurgerFormer: an architecture with its choices by name. */
#ifndef ZS_SPACES_BURGERFORMER_H
#define ZS_SPACES_BURGERFORMER_H

#include "spaces/space.h"

enum { ZS_BURGER_STAGES = 4, ZS_BURGER_SUBS = 3 };

typedef enum zs_burger_op {
    ZS_BURGER_SKIP,
    ZS_BURGER_DWISE_3X3, /* meat has these two */
    ZS_BURGER_CONV_1X1,
    ZS_BURGER_AVGPOOL, /* bread of all stages up to here */
    ZS_BURGER_SELF_ATTEN,
    ZS_BURGER_SPATIAL_MLP, /* bread of the last two stages */
    ZS_BURGER_OPS
} zs_burger_op;

typedef enum zs_burger_norm {
    ZS_BURGER_NO_NORM,
    ZS_BURGER_BN,
    ZS_BURGER_GN,
    ZS_BURGER_LN,
    ZS_BURGER_NORMS
} zs_burger_norm;

typedef enum zs_burger_act {
    ZS_BURGER_NO_ACT,
    ZS_BURGER_RELU6,
    ZS_BURGER_GELU,
    ZS_BURGER_SILU,
    ZS_BURGER_ACTS
} zs_burger_act;

/* A sub-block; where `op` is skip, so are the others, else one of the norms is. */
typedef struct zs_burger_sub {
    zs_burger_op op;
    zs_burger_norm norm1, norm3;
    zs_burger_act act4;
} zs_burger_sub;

typedef struct zs_burger_stage {
    int depth, width, ratio;
    zs_burger_sub sub[ZS_BURGER_SUBS]; /* bread, meat, bread */
} zs_burger_stage;

void zs_burger_stages(const int *genes, zs_burger_stage stages[ZS_BURGER_STAGES]); /* genes are valid */

zs_status zs_burger_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err);

#endif
