/* From a graph to a schedule: what runs, in which steps, and where every tensor lies. All bytes are known before any
   allocation.

   Nodes      skipped (cannot reach the loss, or known to be zero), filled with zeros, run, lazy (a ReLU or a batch norm
              that its readers apply while they load), or a view of another node.
   Steps      a run of phases. A step's samples are cut into parts, and each part goes through all phases while it is in
              cache, so a phase may read what an earlier one of the same step wrote for the same samples. Sums over a
              group (batch norm, weight gradients) are joined when a step ends; what needs a join waits for a later
              step. Blocks of samples and parts of a group are cut the same for any number of threads, and so are sums.
   Storages   one per stored tensor; concat's inputs lie inside concat's storage, a gradient that equals another one is
              that one, and a batch norm's input gradient replaces its input. Lifetimes are counted in steps; storages
              that never live together share memory. */
#ifndef ZS_PLAN_H
#define ZS_PLAN_H

#include "core/arena.h"
#include "core/op.h"

/* What backward makes again in place of keeping it; bits do not depend on it. */
typedef enum zs_recompute {
    ZS_RECOMPUTE_NOTHING,
    ZS_RECOMPUTE_SUMS, /* sums of what is kept anyway: one cheap pass each */
    ZS_RECOMPUTE_ALL,  /* all between checkpoints */
} zs_recompute;

/* Whose gradients are made. */
typedef enum zs_params {
    ZS_PARAMS_NONE,
    ZS_PARAMS_WEIGHTS, /* those that scores count */
    ZS_PARAMS_ALL,     /* and biases, gammas, betas */
} zs_params;

/* What the observer is shown of a node; bits. What is known to be zero, or gets no gradient, is not made for that. */
enum {
    ZS_WATCH_VALUE = 1 << 0,    /* what it puts out */
    ZS_WATCH_INPUT = 1 << 1,    /* what it reads: enough for the signs of a ReLU, which need not run */
    ZS_WATCH_GRADIENT = 1 << 2, /* of the loss by its output; of node 0: by the images */
    ZS_WATCH_PRODUCT = 1 << 3,  /* output and gradient together */
    ZS_WATCH_SEED = 1 << 4,     /* the gradient, which the observer then replaces */
    ZS_WATCH_STATS = 1 << 5,    /* of a batch norm, which runs for it: statistics, no value */
    ZS_WATCH_FORWARD = ZS_WATCH_VALUE | ZS_WATCH_INPUT | ZS_WATCH_STATS,
    ZS_WATCH_BACKWARD = ZS_WATCH_GRADIENT | ZS_WATCH_PRODUCT | ZS_WATCH_SEED,
};

typedef struct zs_plan_spec {
    const zs_kernels *kernels;
    int group_size;          /* samples that share batch statistics and one mean loss */
    int n_groups;            /* groups of one pass */
    bool backward;
    bool dead;               /* run what cannot reach the loss, too */
    zs_params params;
    const uint8_t *watch;    /* [n_nodes] or NULL: ZS_WATCH_* */
    bool identity_bn;        /* batch norms pass on what they read, but for those whose attributes keep them */
    bool retain;             /* backward may run several times after one forward */
    zs_algo algo;
    zs_recompute recompute;
    const bool *tensor_zero; /* [n_tensors]: every element is zero (asked for biases and betas only) */
} zs_plan_spec;

typedef enum zs_node_kind { ZS_NODE_SKIP, ZS_NODE_FILL, ZS_NODE_VIEW, ZS_NODE_LAZY, ZS_NODE_RUN } zs_node_kind;

typedef struct zs_place {
    int storage;        /* -1: none */
    size_t offset;      /* elements from the start of a sample */
    ptrdiff_t sh, sw;
} zs_place;

typedef struct zs_storage {
    size_t elements;    /* of one sample */
    int first, last;    /* steps */
    size_t offset;      /* bytes in the pool */
} zs_storage;

typedef struct zs_node_plan {
    zs_node_kind kind;
    zs_place value, grad;
    zs_place kept;      /* where backward reads the value: as `value` unless it is remade */
    bool remade;        /* backward makes the value again before it reads it */
    int shown;          /* the node whose value and gradient stand for those of this one where it is watched */
    bool wants_grad;    /* the gradient of this node's output is needed */
    bool fuses;         /* the input's gradient comes with the weights' */
    int blocks;         /* of a group, at the most, over which a batch norm's sums are made */
} zs_node_plan;

typedef struct zs_edge_plan {
    int source;         /* node whose value is read, behind identities and lazy nodes */
    int bn;             /* lazy batch norm between, or -1 */
    bool relu;          /* lazy ReLU between */
    zs_place dx;        /* where the gradient goes, storage -1: nowhere */
    bool add, clear;
    bool dropped;       /* a term of a sum that is known to be zero */
} zs_edge_plan;

typedef enum zs_phase_kind {
    ZS_PHASE_FILL,
    ZS_PHASE_FORWARD_SUMS,
    ZS_PHASE_FORWARD,
    ZS_PHASE_LOOK,       /* once the step has ended */
    ZS_PHASE_LOSS,
    ZS_PHASE_REMAKE, /* forward once more, for backward */
    ZS_PHASE_BACKWARD_SUMS,
    ZS_PHASE_BACKWARD,
    ZS_PHASE_WEIGHTS, /* of a whole part; the others go block by block */
    ZS_PHASE_LOOK_BACK,
} zs_phase_kind;

typedef struct zs_phase {
    zs_phase_kind kind;
    int node;
    size_t offset;      /* weights: bytes from the start of a part's sums */
    bool packs;         /* reads packed weights, which are made when the step begins */
    bool back;          /* as backward reads them */
    size_t packed;      /* where: bytes from the start of all that are packed */
} zs_phase;

typedef struct zs_step {
    int first, n;       /* phases */
    int block_samples;  /* as many as fit in cache */
    int blocks;         /* of a group */
    int parts;          /* that a group's blocks are cut into */
    int groups;         /* that run before weight gradients are joined and handed over */
    size_t part_bytes;  /* of the weight gradients of one part */
    bool packs;         /* any of its phases */
} zs_step;

typedef struct zs_plan {
    zs_plan_spec spec;
    const zs_graph *graph;
    int output;         /* node that holds the logits */
    bool has_path;      /* image to logits without crossing a zero op */
    zs_node_plan *nodes;
    zs_edge_plan *edges; /* as graph->inputs */
    bool *tensor_live;   /* gets a gradient */
    zs_storage *storages;
    zs_phase *phases;
    zs_step *steps;
    int n_storages, n_phases, n_steps, n_forward_steps;
    size_t pool_bytes;    /* activations and gradients */
    size_t state_bytes;   /* batch norm */
    size_t scratch_bytes; /* of one thread */
    size_t packed_bytes;  /* weights of one step in the order in which kernels read them */
    size_t joined_bytes;  /* the largest weight gradient */
    size_t partial_bytes; /* that, and weight gradients in parts */
    int64_t macs;         /* multiply-adds of one sample's forward pass that are run */
} zs_plan;

/* Enough of a call to ask an op for sizes; `in` holds its first operand. */
zs_call zs_plan_sizing_call(const zs_plan *plan, int node, zs_operand *in);

zs_status zs_plan_make(const zs_graph *graph, const zs_plan_spec *spec, zs_plan **plan, zs_error *err);
void zs_plan_free(zs_plan *plan);

/* Testing: no two storages that live in the same step overlap. */
bool zs_plan_disjoint(const zs_plan *plan);

#endif
