/* The dual of a graph: beside the copy of each node a second one for its tangent, the derivative of its output as
   weights move along a direction, wherever that is not zero throughout. Forward over the dual gives, beside the loss,
   its derivative along the direction (ZS_LOSS_CROSS_ENTROPY_TANGENT), and backward the gradient of that derivative: the
   product of the loss's Hessian and the direction (Pearlmutter, 1994), for two to four times the work.

   The output is the logits' concatenation with their tangents. Tensors keep their numbers; directions follow. A weight
   that two nodes read, a convolution and its tangent, gets its gradient in two parts, which add up. At kinks the second
   derivative is 0: a ReLU keeps its side, a maximum its place. Gradients are those of counted weights
   (ZS_PARAMS_WEIGHTS), and gamma, beta and biases stand still. */
#ifndef ZS_DUAL_H
#define ZS_DUAL_H

#include "core/graph.h"

typedef struct zs_dual {
    zs_graph *graph; /* NULL: no tangent reaches the output */
    int *origin; /* [graph->n_nodes]: the node that it copies, or whose tangent it belongs to */
    int *
        direction; /* [n_tensors of the original]: the tensor that holds a weight's direction, or -1: it stands still */
} zs_dual;

/* moves: by tensor, weights that have a direction. */
zs_status zs_dual_make(const zs_graph *graph, const bool *moves, zs_dual *dual, zs_error *err);
void zs_dual_free(zs_dual *dual);

#endif
