/* What a score is. It sees gradients tensor by tensor, group by group in order; it never names an ISA or a backend and
   never asks a node which op it is. A tensor without a path to the loss is never observed: its state is NULL at the end
   and stands for gradients that are all zero.

   To add one: a file here that defines `const zs_score zs_score_<name>`, a line in score_table.h, a dataclass in
   zeroshot/scores.py. */
#ifndef ZS_SCORE_H
#define ZS_SCORE_H

#include "core/engine.h"

enum { ZS_MAX_SCORE_PARAMS = 8 };

typedef enum zs_result_status {
    ZS_RESULT_OK,
    ZS_RESULT_NO_SIGNAL,  /* no path from image to logits, or every gradient is exactly zero */
    ZS_RESULT_NONFINITE,
    ZS_RESULT_UNDEFINED,  /* `reason` says why */
    ZS_N_RESULT_STATUSES
} zs_result_status;

/* One score of one call: its parameters, and what comes out. */
typedef struct zs_score_run {
    const struct zs_score *score;
    const zs_kernels *kernels;
    double params[ZS_MAX_SCORE_PARAMS]; /* in the order of score->params */
    int n_edges;                        /* interval borders, for scores that count */
    const double *edges;
    int group_size, n_groups;
    zs_loss loss;
    /* results; arrays are the caller's, one entry a tensor of the graph */
    double value;
    double extra;                       /* meaning by score: `extra_name` */
    zs_result_status status;
    const char *reason;
    double *tensor_values;
    int64_t *counts;                    /* [n_tensors][n_edges - 1], NULL if n_edges is 0 */
} zs_score_run;

typedef struct zs_score {
    const char *name;
    const char *const *params; /* NULL-terminated names */
    int min_groups;
    bool takes_edges;
    bool keeps_signs;          /* wants the rounding of direct sums where the caller leaves the algorithm open */
    bool observes_dead;        /* wants what cannot reach the loss computed, too */
    const char *extra_name;    /* NULL: none */
    size_t (*state_bytes)(const zs_score_run *run, const zs_tensor *t); /* of one live tensor, zeroed before */
    void (*observe)(const zs_score_run *run, void *state, const zs_tensor *t, int group, const void *dw);
    /* value of one tensor; `counts` is its row or NULL; *live: it had something to say (a weight with variance) */
    double (*finish_tensor)(const zs_score_run *run, const void *state, const zs_tensor *t, int64_t *counts,
                            bool *live);
    /* after all tensors; may set value, extra, status; NULL: the sum over tensors stands */
    void (*finish)(zs_score_run *run, const zs_graph *graph, void *const *states, bool any_live);
} zs_score;

int zs_n_scores(void);
const zs_score *zs_score_at(int i);
const zs_score *zs_score_by_name(const char *name); /* NULL if unknown */

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
