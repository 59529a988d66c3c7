/* THE list of ops, one line each: enum, names, arity checks, Python listing and test parameters come from here.
   To add one: a line here and csrc/ops/<file>.c with `const zs_op zs_op_<file>` (RELU6 to TANH: activation.c). */
#ifndef ZS_OP_TABLE_H
#define ZS_OP_TABLE_H
#include <stdbool.h>

#define ZS_ANY (-1) /* any number of inputs from one up */

/* NAME, file, inputs */
#define ZS_OP_TABLE(OP)                          \
    OP(CONV2D, conv2d, 1)                        \
    OP(LINEAR, linear, 1)                        \
    OP(BATCH_NORM, batch_norm, 1)                \
    OP(RELU, relu, 1)                            \
    OP(RELU6, relu6, 1)                          \
    OP(SIGMOID, sigmoid, 1)                      \
    OP(SILU, silu, 1)                            \
    OP(HARD_SIGMOID, hard_sigmoid, 1)            \
    OP(HARD_SWISH, hard_swish, 1)                \
    OP(GELU, gelu, 1)                            \
    OP(TANH, tanh, 1)                            \
    OP(MAX_POOL, max_pool, 1)                    \
    OP(AVG_POOL, avg_pool, 1)                    \
    OP(GLOBAL_AVG_POOL, global_avg_pool, 1)      \
    OP(ADD, add, ZS_ANY)                         \
    OP(MULTIPLY, multiply, 2)                    \
    OP(CONCAT, concat, ZS_ANY)                   \
    OP(ZERO, zero, 1)                            \
    OP(IDENTITY, identity, 1)                    \
    OP(SHIFT, shift, 1)                          \
    OP(SLICE_CHANNELS, slice_channels, 1)        \
    OP(FLATTEN, flatten, 1)                      \
    OP(LINEAR_SPATIAL, linear_spatial, 1)        \
    OP(MATMUL, matmul, 2)                        \
    OP(SOFTMAX, softmax, 1)                      \
    OP(GROUP_NORM, group_norm, 1)                \
    OP(LAYER_NORM, layer_norm, 1)                \
    OP(SCALE_CHANNELS, scale_channels, 1)

/* Ops that only dual graphs have (dual.h): no builder makes them, and they are not listed. Their last input is a
   tangent, in which they are linear; the one before, if any, is the primal input. */
#define ZS_TANGENT_OP_TABLE(OP)                        \
    OP(BATCH_NORM_TANGENT, batch_norm_tangent, ZS_ANY) \
    OP(RELU_GATE, relu_gate, 2)                        \
    OP(ACTIVATION_TANGENT, activation_tangent, 2)      \
    OP(MAX_POOL_GATE, max_pool_gate, 2)                \
    OP(SOFTMAX_TANGENT, softmax_tangent, 2)            \
    OP(NORM_TANGENT, norm_tangent, 2)

#define ZS_ALL_OP_TABLE(OP) ZS_OP_TABLE(OP) ZS_TANGENT_OP_TABLE(OP)

typedef enum zs_op_kind {
    ZS_OP_INPUT, /* node 0: the image */
#define ZS_OP_ENUM(NAME, file, inputs) ZS_OP_##NAME,
    ZS_ALL_OP_TABLE(ZS_OP_ENUM)
#undef ZS_OP_ENUM
        ZS_N_OP_KINDS,
    ZS_N_PUBLIC_OP_KINDS = ZS_OP_BATCH_NORM_TANGENT
} zs_op_kind;

/* What one kernel does for all of activation.c. */
static inline bool zs_is_activation(zs_op_kind op) { return op >= ZS_OP_RELU6 && op <= ZS_OP_TANH; }

#endif
