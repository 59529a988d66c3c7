/* What an op is: shape rule, parameters, traits that the planner reads, and launches that unpack a call and fill in
   kernel slots. A launch works on one block of samples and is called from one thread at a time per block; `*_join`
   runs between the two block phases of an op that needs sums over a group (batch norm). */
#ifndef ZS_OP_H
#define ZS_OP_H

#include "core/kernels.h"

enum {
    ZS_READS_RELU = 1 << 0,  /* forward and backward take max(x, 0) of a stored x themselves */
    ZS_READS_BN = 1 << 1,    /* forward applies batch norm to a stored x itself */
    ZS_KEEPS_ZERO = 1 << 2,  /* zeros in, no bias or beta: zeros out */
    ZS_BWD_READS_IN = 1 << 3,
    ZS_BWD_READS_OUT = 1 << 4,
    ZS_TANGENT = 1 << 5, /* linear in the last input, which alone decides whether the output is zero */
    ZS_GATE = 1 << 6,    /* the last input alone gets a gradient, and backward reads the others alone */
};

typedef struct zs_block {
    int index, group; /* of the pass; group counts from 0 within the pass */
    int n0, n1;
} zs_block;

typedef struct zs_operand {
    zs_view x;
    zs_shape shape;
    bool relu;
    const void *bn;   /* coefficients of a batch norm that the reader applies, or NULL */
    double coef;
    zs_view dx;       /* where the gradient goes; p NULL: not wanted */
    bool add;         /* dx is added to */
    bool clear;       /* dx's whole storage is set to zero before */
    zs_view clear_view;
    zs_shape clear_shape;
} zs_operand;

/* Of a batch norm; that of its tangent has the rows that batch_norm_tangent.c says. */
typedef struct zs_bn_state {
    double *partial;   /* [blocks][2][C] */
    double *mean;      /* [n_groups][C] */
    double *rstd;      /* [n_groups][C] */
    double *d_beta;    /* [n_groups][C] */
    double *d_gamma;   /* [n_groups][C] */
    double *host;      /* [4][C] scratch for casts */
    void *coef;        /* [n_groups][3][C] reals */
    void *coef_bwd;    /* [n_groups][4][C] reals */
} zs_bn_state;

typedef struct zs_call {
    const zs_kernels *k;
    const zs_node *node;
    const zs_operand *in;
    int n_in;
    zs_view y, dy;      /* dy.p NULL: nothing upstream of this node wants a gradient */
    const void *param[ZS_N_ROLES]; /* reals in the arena, NULL if none */
    void *packed, *packed_back; /* weights as forward reads them, and as backward does */
    zs_bn_state bn;
    const zs_bn_state *primal; /* of a batch norm's tangent: the batch norm's own */
    int group_size, n_groups;
    int block_samples; /* joins: of the step whose sums are joined */
    bool wants_param_grad;
    zs_algo algo;
} zs_call;

typedef struct zs_tensor_decl {
    zs_role role;
    int ndim, O, I, R, S;
    bool counted;
} zs_tensor_decl;

typedef struct zs_op {
    const char *name;
    int arity;
    unsigned traits;
    /* the error text need not name the node */
    zs_status (*infer)(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err);
    int (*declare)(const zs_attrs *a, const zs_shape *in, zs_tensor_decl decls[ZS_N_ROLES]); /* in draw order */
    size_t (*packed_bytes)(const zs_call *c, bool back);
    void (*pack)(const zs_call *c, bool back);
    size_t (*scratch_bytes)(const zs_call *c);
    void (*forward_sums)(const zs_call *c, const zs_block *b, void *scratch);
    void (*forward_join)(const zs_call *c);
    void (*forward)(const zs_call *c, const zs_block *b, void *scratch);
    void (*backward_sums)(const zs_call *c, const zs_block *b, void *scratch);
    void (*backward_join)(const zs_call *c);
    void (*backward)(const zs_call *c, const zs_block *b, void *scratch);
    /* gradients of weight and bias over the block; db may be NULL. Where `fuses`, that of the input, too. */
    bool (*fuses)(const zs_call *c);
    void (*backward_weights)(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch);
} zs_op;

/* What backward_weights makes the gradients of: weight and bias or, where there is no weight, gamma and beta, or a
   scale. -1: none. */
typedef struct zs_layer_tensors {
    int main, side;
} zs_layer_tensors;

zs_layer_tensors zs_layer_tensors_of(const zs_node *n);

/* How often one sample's forward pass multiplies by each element of the node's weight. */
int64_t zs_weight_uses(const zs_node *n);

#define ZS_OP_DECLARE(NAME, file, inputs) extern const zs_op zs_op_##file;
ZS_ALL_OP_TABLE(ZS_OP_DECLARE)
#undef ZS_OP_DECLARE

const zs_op *zs_op_get(zs_op_kind kind); /* not for ZS_OP_INPUT */

zs_status zs_window_check(const zs_window *w, zs_error *err);
zs_status zs_window_infer(const zs_window *w, zs_shape in, int *P, int *Q, zs_error *err);

#endif
