/* Forward, loss, backward over a plan, group by group. Calls kernels, contains no arithmetic, opens the only parallel
   regions. All its numbers lie in an arena that the caller provides:

       zs_engine_layout(&e, &arena)   twice: to measure, then to take (arena.h)
       zs_engine_forward(&e, ...)     for each pass of up to spec.n_groups groups, and then
       zs_engine_backward(&e, ...)    where spec.backward; several times where spec.retain                           */
#ifndef ZS_ENGINE_H
#define ZS_ENGINE_H

#include <stdatomic.h>

#include "core/plan.h"

/* How to run. Nothing in here changes a result. */
typedef struct zs_exec {
    const zs_backend *backend;
    const zs_kernels *kernels;
    int n_threads;              /* at least 1; 1 opens no parallel region */
    bool spare_small;           /* small passes stay with the calling thread */
    const _Atomic int *cancel;  /* set by any thread: stop; may be NULL */
    bool (*poll)(void *self);   /* asked between blocks by the calling thread: true = stop; may be NULL */
    void *poll_self;
} zs_exec;

typedef enum zs_loss {
    ZS_LOSS_CROSS_ENTROPY,
    ZS_LOSS_SUM_LOGITS,
    ZS_N_LOSSES,
    ZS_LOSS_CROSS_ENTROPY_TANGENT =
        ZS_N_LOSSES, /* its derivative along a direction, of a dual graph (dual.h); no name */
} zs_loss;
const char *zs_loss_name(zs_loss loss);
int zs_loss_by_name(const char *name);

/* What a watched node shows, of all groups under way. */
typedef struct zs_look {
    int node;
    unsigned watch;          /* ZS_WATCH_FORWARD or ZS_WATCH_BACKWARD, as far as it is asked for */
    zs_shape shape;          /* of one sample */
    int first_group, n_groups, group_size;
    zs_view value;           /* from the first sample of first_group; p NULL: zeros, or no more than ZS_WATCH_STATS */
    zs_view grad;            /* backward only; of a seeded node the observer writes the new one there */
    const zs_bn_state *bn;   /* of a batch norm that runs: statistics by group, counted from 0; or NULL */
} zs_look;

/* Receives gradients: group by group in order for each tensor, tensors in no order that counts. `dw` has the engine's
   dtype and, for weights, R x S x I x O order; it is gone after the call. For biases, gammas and betas likewise.
   Looks come from the calling thread, each watched node once forward and, if it gets a gradient, once backward. */
typedef struct zs_observer {
    void *self;
    void (*gradient)(void *self, int tensor, int group, const void *dw);
    void (*look)(void *self, const zs_look *look);
} zs_observer;

/* First value that is not finite, in forward order. */
typedef struct zs_blame {
    int node;      /* -1: none */
    size_t count;
} zs_blame;

typedef struct zs_weights { /* of one architecture, shared by its plans */
    void **tensors;      /* reals, R x S x I x O */
} zs_weights;

typedef struct zs_engine {
    const zs_graph *graph;
    const zs_plan *plan;
    const zs_exec *exec;
    zs_weights weights;
    bool is_short;       /* with exec->spare_small: stays with the calling thread */
    /* in the arena */
    zs_call *calls, *back_calls;
    zs_operand *operands, *back_operands;
    char *pool;
    char *scratch;       /* n_threads * plan->scratch_bytes */
    char *partial;
    char *packed;        /* weights of the step under way, as kernels read them */
    double *sample_loss;
    int64_t *labels;
    size_t scratch_bytes;
    int n_threads;       /* exec->n_threads, or 1 where a pass is too small or too short to share */
    /* of the pass under way */
    const zs_observer *observer;
    zs_loss loss;
    int first_group, n_groups;
    zs_blame blame;
    int64_t blocks_begun;
    _Atomic int stopped;
} zs_engine;

void zs_weights_layout(zs_weights *w, const zs_graph *graph, zs_dtype dtype, zs_arena *arena);
void zs_engine_layout(zs_engine *e, zs_arena *arena);
/* Pool, scratch, partial sums and packed weights can be shared by engines that run one after the other: bytes wanted,
   and given. */
size_t zs_engine_shared_bytes(zs_engine *e);
void zs_engine_share(zs_engine *e, char *base);

/* x: n_groups * group_size samples C x H x W of `x_dtype`, labels likewise; losses: n_groups doubles; logits: NULL or
   n_groups * group_size * K doubles. n_groups <= plan->spec.n_groups. */
zs_status zs_engine_forward(zs_engine *e, zs_loss loss, int first_group, int n_groups, zs_dtype x_dtype, const void *x,
                            const int64_t *labels, const zs_observer *observer, double *losses, double *logits,
                            zs_error *err);
/* From the gradient that the loss left at the logits. */
zs_status zs_engine_backward(zs_engine *e, zs_error *err);
/* From the sum of one sample's logits, or, if it is negative, from seeds alone; the observer counts its groups from
   `first_group`. Once after each forward, or as often as wanted where spec.retain. */
zs_status zs_engine_backward_from(zs_engine *e, int sample, int first_group, zs_error *err);

#endif
