/* Immutable network description: nodes in topological order, per-sample shapes, parameter tensors.
   Made by a builder (builder.h), never changed afterwards; one block of memory; can be scored many times. */
#ifndef ZS_GRAPH_H
#define ZS_GRAPH_H

#include "core/op_table.h"
#include "core/status.h"

/* Limits that keep every product of sizes inside 63 bits and every parser's work bounded. */
#define ZS_MAX_NODES 65536
#define ZS_MAX_DIM (1 << 20)
#define ZS_MAX_CLASSES (1 << 20)

typedef struct zs_shape { /* of one sample */
    int C, H, W;
} zs_shape;

typedef struct zs_window { /* filter or pooling window, one value per axis */
    int R, S;
    int stride_h, stride_w;
    int pad_h, pad_w;
    int dil_h, dil_w;
} zs_window;

typedef enum zs_bn_mode { ZS_BN_BATCH = 0, ZS_BN_RUNNING, ZS_BN_IDENTITY, ZS_N_BN_MODES } zs_bn_mode;

/* Attributes of all ops; each op reads its own. */
typedef struct zs_attrs {
    int K;      /* conv2d, linear, slice_channels: output channels */
    int start;  /* slice_channels: the first of them */
    int groups; /* conv2d, softmax, group_norm */
    bool bias;  /* conv2d, linear, linear_spatial */
    zs_window window;       /* conv2d, max_pool, avg_pool */
    bool count_include_pad; /* avg_pool */
    double eps;             /* norms */
    bool affine;            /* norms */
    zs_bn_mode bn_mode;     /* batch_norm */
    bool bn_stays;          /* batch_norm: also where a score asks for a network without */
    int stride;             /* zero */
    int heads;              /* matmul */
    bool transpose_b;       /* matmul */
    double scale;           /* matmul */
    double initial;         /* scale_channels: what its scale starts at */
    bool by_position;       /* norm_tangent: of a layer norm */
    int primal;             /* batch_norm_tangent: the batch norm whose tangent it is */
    zs_op_kind of;          /* activation_tangent: the activation whose tangent it is */
} zs_attrs;

typedef enum zs_role {
    ZS_ROLE_WEIGHT,
    ZS_ROLE_BIAS,
    ZS_ROLE_GAMMA,
    ZS_ROLE_SCALE,
    ZS_ROLE_BETA,
    ZS_ROLE_RUNNING_MEAN,
    ZS_ROLE_RUNNING_VAR,
    ZS_N_ROLES
} zs_role;

/* A parameter. Outside the engine a weight is O x I x R x S (I per group), inside R x S x I x O. */
typedef struct zs_tensor {
    char name[ZS_NAME_MAX + 16]; /* node name + "." + role */
    int node;
    zs_role role;
    int ndim;    /* as Python sees it: 4 conv2d weight, 2 linear weight, 1 others */
    int O, I, R, S;
    int groups;
    size_t size; /* elements */
    bool counted; /* enters the scores: weights of conv2d, linear, linear_spatial */
    double initial; /* of a scale */
} zs_tensor;

typedef struct zs_node {
    zs_op_kind op;
    char name[ZS_NAME_MAX];
    int n_inputs, first_input; /* into graph->inputs and graph->coefs */
    zs_attrs attrs;
    zs_shape shape;
    int tensors[ZS_N_ROLES]; /* by role, -1 if none */
    bool flat;               /* behind what leaves a single pixel: no maps any more (builder.c) */
    bool reached;            /* has a path to the output, be it through an operation that multiplies by zero */
    bool runs;               /* as a framework runs it, though nobody may read it: it counts */
    bool feature;            /* a stage of the network: what scores of features look at */
} zs_node;

typedef struct zs_graph {
    int n_nodes;
    int n_inputs;
    int n_tensors;
    const zs_node *nodes;
    const int *inputs;
    const double *coefs; /* of add edges, 1 elsewhere */
    const zs_tensor *tensors; /* in the order in which they are drawn */
} zs_graph;

void zs_graph_free(zs_graph *graph);

static inline const int *zs_node_inputs(const zs_graph *g, int node) { return g->inputs + g->nodes[node].first_input; }

const char *zs_op_name(zs_op_kind op); /* "conv2d" */
int zs_op_by_name(const char *name);   /* -1 if unknown or not public */
int zs_op_arity(zs_op_kind op);        /* ZS_ANY: one or more */
const char *zs_role_name(zs_role role);
const char *zs_bn_mode_name(zs_bn_mode mode);
int zs_bn_mode_by_name(const char *name);

#endif
