/* The state of a job, shared by job*.c; nobody else includes it. */
#ifndef ZS_JOB_STATE_H
#define ZS_JOB_STATE_H

#include "core/init.h"
#include "scores/job.h"

enum { MAX_PASSES = 32, MAX_WEIGHT_SETS = 16 };

/* The parameters of the architecture, drawn or given, in one dtype. */
typedef struct weight_set {
    int init;          /* zs_init_kind */
    bool given;        /* the caller's come first */
    bool absolute;
    zs_dtype dtype;
    zs_weights weights;
    bool *tensor_zero; /* biases and betas of which every element is known to be zero */
} weight_set;

/* One run through the network for all the scores that it fits. */
typedef struct pass {
    /* what its runs have in common */
    int source, weights;  /* numbers of these */
    zs_dtype dtype;
    int group_size;
    zs_algo algo;
    bool dead, identity_bn, sink;
    /* what they need altogether */
    zs_loss loss;         /* any, while nothing runs backward */
    bool backward;
    zs_params params;
    int n_groups;         /* of all chunks */
    int n_sweeps, sweep;  /* and the one under way */
    bool hessian;
    uint8_t *watch;       /* [n_nodes], or NULL */
    zs_exec exec;
    zs_plan *plan;
    zs_engine engine;
    double *losses;       /* of a chunk */
    int first_nonzero;    /* group that has a gradient which is not zero */
    zs_blame blame;
    size_t n_bad;         /* gradients that are not finite, and the first node that had one */
    int bad_node;
} pass;

typedef struct job_state {
    zs_job *job;
    pass passes[MAX_PASSES];
    int n_passes;
    weight_set sets[MAX_WEIGHT_SETS];
    int n_sets;
    void ***states; /* [n_runs][n_tensors] */
    void **memory;  /* [n_runs] */
    zs_init_shape *shapes;
    float **drawn;
    char *shared;
    size_t shared_bytes;
    /* while a pass runs */
    pass *now;
} job_state;

zs_needs zs_job_needs(const zs_score_run *run);
zs_status zs_job_find_passes(job_state *s, zs_error *err);

#endif
