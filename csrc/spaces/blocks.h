/* What the networks of several spaces are put together from. Names of nodes are the caller's. */
#ifndef ZS_SPACES_BLOCKS_H
#define ZS_SPACES_BLOCKS_H

#include "core/builder.h"
#include "spaces/space.h"

typedef struct zs_node_name {
    char text[ZS_NAME_MAX];
} zs_node_name;

ZS_PRINTF(1, 2) zs_node_name zs_named(const char *format, ...);

/* size x size, padded so that stride 1 keeps the map. */
zs_window zs_square(int size, int stride);
/* As zs_add_conv, of any window, with groups and maybe a bias. */
int zs_add_window_conv(zs_builder *b, const char *name, int x, int K, zs_window window, int groups, bool bias);
/* Padding is not counted by an average, and minus infinity for a maximum. */
int zs_add_avg_pool(zs_builder *b, const char *name, int x, int size, int stride, int pad);
int zs_add_max_pool(zs_builder *b, const char *name, int x, int size, int stride, int pad);
/* ReLU, convolution of size x size, batch norm */
int zs_add_relu_conv_bn(zs_builder *b, const char *relu, const char *conv, const char *bn, int x, int K, int size,
                        int stride);
/* Halves the map: two ReLU-conv-BN, and on the shortcut a 2x2 pool and a 1x1 convolution, neither BN nor ReLU; nothing
   after the sum. Nodes res<number>.relu_a ... res<number>.sum. `bn_stays`: also in networks without batch norms. */
int zs_add_residual(zs_builder *b, int number, int x, int K, bool bn_stays);
/* That the map can be halved so twice: at odd sizes the strided convolution and the pool give different maps. */
zs_status zs_residual_input_check(const zs_space_args *args, zs_error *err);
/* head.bn, head.relu, head.pool, head.fc */
int zs_add_bn_relu_head(zs_builder *b, int x, int num_classes);
/* head.pool, head.fc */
int zs_add_head(zs_builder *b, int x, int num_classes);

#endif
