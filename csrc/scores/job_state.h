/* The state of a job, shared by job*.c; nobody else includes it. */
#ifndef ZS_JOB_STATE_H
#define ZS_JOB_STATE_H

#include "core/dual.h"
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

/* Over the dual graph, for products of the Hessian and the gradient; job_hessian.c. */
typedef struct second_pass {
    zs_dual dual;
    zs_plan *plan; /* NULL: nothing asks for it, or no weight has a gradient */
    zs_engine engine; /* its weights: those of the pass, and the gradient that it leaves */
} second_pass;

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
    second_pass second;
    double *losses;       /* of a chunk */
    int first_nonzero;    /* group that has a gradient which is not zero */
    zs_blame blame;
    size_t n_bad;         /* gradients that are not finite, and the first node that had one */
    int bad_node;
    /* first groups that met what is not finite: runs of fewer groups have not seen it */
    int bad_forward, bad_gradient;
    bool bad_hessian;
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

void zs_job_note(zs_blame *blame, int node, size_t count);
zs_status zs_job_find_passes(job_state *s, zs_error *err);

size_t zs_job_check_gradient(pass *p, const zs_tensor *t, const void *dw); /* how many elements are not finite */

/* Each does nothing for passes without. Planned once the pass is; the layout returns the shared bytes that it wants. */
zs_status zs_job_plan_hessian(const job_state *s, pass *p, zs_error *err);
void zs_job_free_hessian(pass *p);
size_t zs_job_layout_hessian(job_state *s, pass *p, zs_arena *arena);
void zs_job_keep_gradient(const job_state *s, pass *p, int tensor, int group, const void *dw);
zs_status zs_job_run_hessian(job_state *s, pass *p, zs_error *err);

#endif
