/* Chains of MBConv blocks (inverted residuals, Sandler et al., CVPR 2018): what proxylessnas and mbconv build.

       conv 3x3 of stride 2, BN, act | blocks | conv 1x1, BN, act | global pool, linear

   A block, of expansion e, kernel k, stride s:

       conv 1x1 to e * its input's channels, BN, act | depthwise k x k of stride s, BN, act | squeeze and excitation |
       conv 1x1 to its width, BN

   plus its input where s = 1 and both are of one width. The first part is missing where e = 0. Squeeze and excitation:
   spatial mean, conv 1x1 with bias to a share of the block's input channels, act, conv 1x1 with bias, sigmoid,
   product. */
#ifndef ZS_SPACES_MBCONV_H
#define ZS_SPACES_MBCONV_H

#include "spaces/space.h"

enum {
    ZS_MBCONV_BLOCKS = 24,    /* at most */
    ZS_MBCONV_RATIO = 10000,  /* the unit of squeeze ratios: four decimals */
    ZS_MBCONV_WIDTH = 10000,  /* the largest */
};

typedef struct zs_mbconv {
    int kernel;    /* 0: the layer has been removed */
    int expansion; /* 0: no convolution that expands */
    int width, stride;
    int squeeze;   /* channels of the squeezed map by those of the block's input, in units; 0: none */
} zs_mbconv;

typedef struct zs_mbconv_net {
    int stem, last; /* widths */
    bool swish;     /* or ReLU6 */
    double eps;     /* of batch norms */
    int n;
    zs_mbconv blocks[ZS_MBCONV_BLOCKS];
} zs_mbconv_net;

static inline bool zs_mbconv_has_shortcut(const zs_mbconv *block, int in_width) {
    return block->stride == 1 && block->width == in_width;
}

zs_status zs_mbconv_build(const zs_mbconv_net *net, const zs_space *space, const zs_space_args *args, zs_graph **graph,
                          zs_error *err);

/* What both texts are made of. */
extern const char *const zs_mbconv_acts[2]; /* by `swish` */

/* A ratio above 0, at most 1, of at most four decimals, in units; -1 and an error. */
int zs_mbconv_read_ratio(zs_reader *r);
typedef struct zs_mbconv_ratio {
    char text[8];
} zs_mbconv_ratio;
zs_mbconv_ratio zs_mbconv_ratio_text(int ratio); /* shortest: 0.25, 1 */

#endif
