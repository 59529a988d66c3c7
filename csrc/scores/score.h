/* What a score is. It says what it needs of the engine, sees gradients tensor by tensor and group by group in order, or
   values and gradients of the nodes that it watches, and makes a number of them. It never names an ISA or a backend. A
   tensor without a path to the loss is never observed: its state is NULL at the end and stands for gradients that are
   all zero.

   To add one: a file here that defines `const zs_score zs_score_<name>`, a line in score_table.h, a dataclass in
   zeroshot/scores. */
#ifndef ZS_SCORE_H
#define ZS_SCORE_H

#include <math.h>

#include "core/engine.h"

enum { ZS_MAX_SCORE_PARAMS = 8 };

typedef enum zs_result_status {
    ZS_RESULT_OK,
    ZS_RESULT_NO_SIGNAL, /* no path from image to logits, or every gradient is exactly zero */
    ZS_RESULT_NONFINITE,
    ZS_RESULT_UNDEFINED, /* `reason` says why */
    ZS_N_RESULT_STATUSES
} zs_result_status;

/* What a score needs; runs that need the same share a pass. All zero: gradients of weights. */
typedef struct zs_needs {
    bool no_pass; /* sizes and weights are enough */
    bool forward_only; /* then any loss will do */
    bool all_params; /* gradients of biases, gammas and betas, too */
    bool no_params; /* no gradients of parameters: those of watched nodes */
    bool float64; /* whatever the call's dtype is */
    bool absolute; /* every parameter is made absolute */
    bool identity_bn; /* batch norms are taken out */
    bool dead; /* what is known to be zero is run all the same: gradients go through it */
    bool hessian; /* observe_hessian, too */
    int n_sweeps; /* backward runs so many times over one group, each from begin_sweep; the pass is not shared */
} zs_needs;

/* One score of one call: its parameters, and what comes out. */
typedef struct zs_score_run {
    const struct zs_score *score;
    const zs_kernels *kernels; /* of the dtype that it is computed in */
    double params[ZS_MAX_SCORE_PARAMS]; /* in the order of score->params */
    int n_edges; /* interval borders, for scores that count */
    const double *edges;
    int source; /* of images and labels, among the job's */
    int init; /* zs_init_kind of weights of its own; -1: the job's */
    int group_size, n_groups;
    zs_loss loss;
    const int8_t *signs; /* directions given by the caller, or NULL */
    size_t n_signs;
    /* set by the job */
    const zs_graph *graph;
    void *const *weights; /* [n_tensors] reals, R x S x I x O */
    const int64_t *labels; /* of the first row on */
    uint64_t seed;
    int pass; /* -1: none */
    int weight_set;
    zs_needs needs; /* what score->needs says of this run */
    /* results; arrays are the caller's, one entry a tensor of the graph, but for counts of nodes */
    double value;
    double extra; /* meaning by score: `extra_name` */
    zs_result_status status;
    const char *reason;
    double *tensor_values;
    int64_t *counts; /* [n_tensors or n_nodes][n_edges - 1], NULL if n_edges is 0 */
} zs_score_run;

/* What `finish` sees beside the run. */
typedef struct zs_finish {
    void *const *states; /* by tensor */
    void *memory;
    bool any_live; /* of finish_tensor */
} zs_finish;

typedef struct zs_score {
    const char *name;
    const char *const *params; /* NULL-terminated names */
    int min_groups;
    bool takes_edges;
    bool counts_nodes; /* its counts have a row a node */
    bool keeps_signs; /* wants the rounding of direct sums where the caller leaves the algorithm open */
    bool sees_signal; /* without a weight's gradient that is not zero, its value has the status `no_signal`; where it
                         needs all parameters, it sees to that itself */
    const char *extra_name; /* NULL: none */
    zs_needs (*needs)(const zs_score_run *run); /* NULL: gradients of weights */
    const char *(*check)(const zs_score_run *run); /* what is wrong with the run, or NULL */

    /* By tensor; NULL where a score has nothing to do with gradients of parameters. */
    size_t (*state_bytes)(const zs_score_run *run, const zs_tensor *t); /* of one live tensor, zeroed before */
    /* where a score wants sweeps, `group` is the sweep's number */
    void (*observe)(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw);
    /* the product of the cross-entropy's Hessian and its gradient, both of the first group, after all gradients; comes
       in parts that add up */
    void (*observe_hessian)(const zs_score_run *run, void *state, const zs_tensor *t, const void *h);
    /* value of one counted tensor; `counts` is its row or NULL; *live: it had something to say */
    double (*finish_tensor)(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live);

    /* By node; what is not watched by one run may be shown for another's sake, but not to it. */
    unsigned (*watch)(const zs_score_run *run, int node); /* ZS_WATCH_* */
    size_t (*memory_bytes)(const zs_score_run *run); /* of the run itself, zeroed before; SIZE_MAX: too many */
    void (*look)(const zs_score_run *run, void *memory, const zs_look *look);
    int (*begin_sweep)(const zs_score_run *run, void *memory,
                       int sweep); /* the sample whose logits are summed, or -1 */

    /* after all that; may set value, extra, status; NULL: the sum over tensors stands */
    void (*finish)(zs_score_run *run, const zs_finish *f);
} zs_score;

int zs_n_scores(void);
const zs_score *zs_score_at(int i);
const zs_score *zs_score_by_name(const char *name); /* NULL if unknown */

/* --- for the scores' files ---------------------------------------------------------------------------------------- */

/* Reals of the run's dtype, R x S x I x O, as gradients are. */
static inline const void *zs_weight_of(const zs_score_run *run, const zs_tensor *t) {
    return run->weights[t - run->graph->tensors];
}

/* Reals as doubles, a chunk at a time, so that a formula is written once for both dtypes:

       double g[ZS_CHUNK];
       for (size_t at = 0, n; (n = zs_chunk(k, t->size, at, dw, g)) > 0; at += n)
           for (size_t i = 0; i < n; i++) ...                                                                        */
enum { ZS_CHUNK = 512 };

static inline size_t zs_chunk(const zs_kernels *k, size_t size, size_t at, const void *reals, double *out) {
    const size_t n = size - at < ZS_CHUNK ? size - at : ZS_CHUNK;
    if (n > 0) k->store_vector(n, (const char *)reals + at * zs_dtype_size(k->dtype), out);
    return n;
}

static inline void zs_undefined(zs_score_run *run, const char *reason) {
    run->status = ZS_RESULT_UNDEFINED;
    run->reason = reason;
    run->value = NAN;
}

/* A request for the gradients themselves is a run without a score: [n_groups][size] doubles a tensor, O x I x R x S, or
   NULL for tensors that are not wanted. Tensors that get no gradient keep what the caller put there. */
typedef struct zs_gradient_sink {
    int group_size, n_groups;
    zs_loss loss;
    double *const *tensors;
    double *losses; /* n_groups */
    double *logits; /* n_groups * group_size * K */
} zs_gradient_sink;

#endif
