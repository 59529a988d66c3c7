/* One architecture scored: weights made or loaded, scores grouped into passes (job_passes.c), every pass run, every
   score finished. All numbers lie in one arena, whose bytes are known before it is allocated. */
#ifndef ZS_JOB_H
#define ZS_JOB_H

#include "scores/score.h"

/* Memory that a worker keeps between jobs: grown only for a larger one. */
typedef struct zs_workspace {
    char *base;
    size_t capacity;
} zs_workspace;

void zs_workspace_free(zs_workspace *w, const zs_backend *backend);

typedef struct zs_given_weight { /* the caller's own: O x I x R x S, C order */
    const void *data; /* NULL: from the initialiser */
    zs_dtype dtype;
} zs_given_weight;

typedef struct zs_source { /* images and labels; runs start at the first row */
    int64_t n_samples;
    zs_dtype dtype;
    const void *x; /* n_samples x C x H x W */
    const int64_t *labels; /* in [0, K) */
} zs_source;

typedef struct zs_job {
    const zs_graph *graph;
    zs_exec exec;
    const zs_kernels *kernels[2]; /* of one table, by zs_dtype */
    zs_dtype dtype;
    zs_algo algo;
    int init; /* zs_init_kind */
    uint64_t seed;
    const zs_given_weight *given; /* [n_tensors] or NULL */
    bool dead; /* compute dead operations too */
    int recompute; /* zs_recompute, or -1: as much as the memory asks for */
    const zs_source *sources; /* the first is the caller's data, which the sink reads */
    int n_sources;
    zs_score_run *runs;
    int n_runs;
    const zs_gradient_sink *sink; /* or NULL */
    size_t max_bytes; /* 0: no cap */
    zs_workspace *workspace; /* or NULL */
    /* results */
    size_t peak_bytes;
    int64_t macs; /* run forward, of one sample */
    int n_passes;
    zs_blame blame; /* node 0: the images; tensors are blamed by their node */
    int64_t samples_seen; /* rows used, over all passes */
    int64_t blocks_begun;
} zs_job;

/* Bytes and multiply-adds without running: fills peak_bytes, macs, n_passes and the runs' passes. */
zs_status zs_job_measure(zs_job *job, zs_error *err);
zs_status zs_job_run(zs_job *job, zs_error *err);

#endif
