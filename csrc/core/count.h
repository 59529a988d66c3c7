/* Sizes of a network, from its description alone. One image, forward. */
#ifndef ZS_COUNT_H
#define ZS_COUNT_H

#include "core/graph.h"

typedef struct zs_counts {
    int64_t params;       /* elements of all trainable tensors; running statistics are none */
    int64_t weights;      /* of the counted tensors: weights of convolutions and linear layers */
    int64_t macs;         /* multiply-accumulates of convolutions and linear layers; no bias adds */
    int64_t thop_flops;   /* macs + 1 for each output element of an average pool; the global pool is none */
    int64_t poolk2_flops; /* the same with the size of its window in place of 1 */
    int64_t thop_bn_flops; /* thop_flops + 4 for each output element of a batch norm, 2 without gamma and beta */
    int64_t live_weights; /* counted weights on a path from the image to the logits that crosses no zero op */
    int64_t live_macs;
} zs_counts;

/* Weights count as built, operations as a framework runs them: also where the output is multiplied by zero, but not
   where nothing on the way to the logits reads it, unless the network says that it runs (zs_builder_set_runs). Fails
   only (ZS_EINVAL) when a count passes 63 bits. */
zs_status zs_graph_count(const zs_graph *graph, zs_counts *out, zs_error *err);

#endif
