/* Which units of a ReLU are on, one bit each: its input is greater than 0. What NASWOT, SWAP and linear regions look
   at. A look that shows zeros has all units off. */
#ifndef ZS_RELU_BITS_H
#define ZS_RELU_BITS_H

#include "scores/score.h"

/* A ReLU on maps, ReLU6 too; those behind the global pool are left out, as released code does by asking for four
   axes. */
static inline bool zs_is_map_relu(const zs_node *n) {
    return (n->op == ZS_OP_RELU || n->op == ZS_OP_RELU6) && !n->flat;
}

/* Whether the network bends otherwise: without a ReLU it has no patterns then, and is not linear either. */
static inline bool zs_has_other_activation(const zs_graph *g) {
    for (int i = 1; i < g->n_nodes; i++)
        if (zs_is_activation(g->nodes[i].op) && g->nodes[i].op != ZS_OP_RELU6) return true;
    return false;
}

/* Words that one image's bits take at most, whatever the memory layout. */
size_t zs_relu_words(zs_shape s);

/* Bits of one image as runs of `run_length` units, each starting a word; what is left of a run's last word is 0. */
typedef struct zs_relu_rows {
    size_t n_runs, run_length, run_words;
} zs_relu_rows;

/* words: zs_relu_words for each of n images, image after image from `first` of the look on. */
zs_relu_rows zs_relu_bits(const zs_kernels *k, const zs_look *look, int first, int n, uint64_t *words);

#endif
