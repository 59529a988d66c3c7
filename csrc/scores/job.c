#include "scores/job.h"

#include <math.h>
#include <string.h>

#include "core/init.h"

/* A pass takes as many groups as keep it near this many samples; results do not depend on it. */
enum { PASS_SAMPLES = 64, MAX_PASSES = 32 };

/* An architecture that needs more has its sums made again in backward, for up to 10 % more time. */
#define MUCH_MEMORY ((size_t)256 << 20)

/* Multiply-adds forward, of all samples. Below, one thread takes some 15 ms; several save a part of that on an idle
   machine, but wait for each other at every step, and where a neighbour holds a processor that took 100 to 600 ms. */
#define MIN_PASS_MACS ((int64_t)250 * 1000 * 1000)

typedef struct pass {
    int group_size, n_groups; /* of all chunks */
    zs_loss loss;
    zs_algo algo;
    bool dead;
    bool sink;
    zs_plan *plan;
    zs_engine engine;
    double *losses; /* of a chunk */
    bool any_nonzero;
    zs_blame blame;
    size_t n_bad;   /* gradients that are not finite, and the first node that had one */
    int bad_node;
} pass;

typedef struct job_state {
    zs_job *job;
    pass passes[MAX_PASSES];
    int n_passes;
    zs_weights weights;
    void ***states; /* [n_runs][n_tensors] */
    zs_init_shape *shapes;
    float **drawn;
    bool *tensor_zero;
    char *shared;
    size_t shared_bytes;
    /* while a pass runs */
    pass *now;
} job_state;

void zs_workspace_free(zs_workspace *w, const zs_backend *backend) {
    backend->free(backend, w->base);
    w->base = NULL;
    w->capacity = 0;
}

/* --- passes ------------------------------------------------------------------------------------------------------ */

/* What a pass must be for a score to share it. */
static pass wanted_pass(const job_state *s, const zs_score_run *r) {
    const zs_algo algo = s->job->algo == ZS_ALGO_AUTO && r->score->keeps_signs ? ZS_ALGO_SIGNS : s->job->algo;
    return (pass){.group_size = r->group_size,
                  .n_groups = r->n_groups,
                  .loss = r->loss,
                  .algo = algo,
                  .dead = s->job->dead || r->score->observes_dead};
}

static bool fits(const pass *p, const pass *wanted) {
    return !p->sink && !wanted->sink && p->group_size == wanted->group_size && p->loss == wanted->loss &&
           p->algo == wanted->algo && p->dead == wanted->dead;
}

static pass *find_pass(job_state *s, const zs_score_run *r) {
    const pass wanted = wanted_pass(s, r);
    for (int i = 0; i < s->n_passes; i++)
        if (fits(&s->passes[i], &wanted)) return &s->passes[i];
    return NULL;
}

static zs_status join_pass(job_state *s, pass wanted, zs_error *err) {
    const int group_size = wanted.group_size, n_groups = wanted.n_groups;
    if (group_size < 1 || n_groups < 1 || (int64_t)group_size * n_groups > s->job->n_samples)
        return zs_fail(err, ZS_EINVAL, "x: %d group%s of %d need %lld samples, got %lld", n_groups,
                       n_groups == 1 ? "" : "s", group_size, (long long)group_size * n_groups,
                       (long long)s->job->n_samples);
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        if (!fits(p, &wanted)) continue;
        if (n_groups > p->n_groups) p->n_groups = n_groups;
        return ZS_OK;
    }
    if (s->n_passes == MAX_PASSES)
        return zs_fail(err, ZS_EINVAL, "scores: more than %d different groupings", MAX_PASSES);
    wanted.blame.node = wanted.bad_node = -1;
    s->passes[s->n_passes++] = wanted;
    return ZS_OK;
}

static zs_status find_passes(job_state *s, zs_error *err) {
    const zs_job *job = s->job;
    for (int i = 0; i < job->n_runs; i++) {
        const zs_score_run *r = &job->runs[i];
        if (r->n_groups < r->score->min_groups)
            return zs_fail(err, ZS_EINVAL, "n_batches: %s needs at least %d groups, got %d", r->score->name,
                           r->score->min_groups, r->n_groups);
        if (join_pass(s, wanted_pass(s, r), err) != ZS_OK) return err->status;
    }
    if (!job->sink) return ZS_OK;
    const pass sink = {.group_size = job->sink->group_size,
                       .n_groups = job->sink->n_groups,
                       .loss = job->sink->loss,
                       .algo = job->algo,
                       .dead = job->dead,
                       .sink = true};
    return join_pass(s, sink, err);
}

static bool all_zero(const zs_given_weight *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (w->dtype == ZS_F64 ? ((const double *)w->data)[i] != 0 : ((const float *)w->data)[i] != 0) return false;
    return true;
}

/* Known before anything is drawn: betas start at zero, biases in all initialisers but PyTorch's default. */
static void find_zero_tensors(job_state *s) {
    const zs_job *job = s->job;
    for (int i = 0; i < job->graph->n_tensors; i++) {
        const zs_tensor *t = &job->graph->tensors[i];
        if (t->role != ZS_ROLE_BIAS && t->role != ZS_ROLE_BETA) continue;
        if (job->given && job->given[i].data)
            s->tensor_zero[i] = all_zero(&job->given[i], t->size);
        else
            s->tensor_zero[i] = t->role == ZS_ROLE_BETA || job->init != ZS_INIT_TORCH;
    }
}

static zs_status make_plans(job_state *s, zs_recompute recompute, zs_error *err) {
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        zs_plan_free(p->plan);
        p->plan = NULL;
        int chunk = PASS_SAMPLES / p->group_size;
        if (chunk < 1) chunk = 1;
        if (chunk > p->n_groups) chunk = p->n_groups;
        const zs_plan_spec spec = {
            .kernels = s->job->exec.kernels,
            .group_size = p->group_size,
            .n_groups = chunk,
            .backward = true,
            .dead = p->dead,
            .all_params = p->sink,
            .algo = p->algo,
            .recompute = recompute,
            .tensor_zero = s->tensor_zero,
        };
        if (zs_plan_make(s->job->graph, &spec, &p->plan, err) != ZS_OK) return err->status;
        s->job->macs = p->plan->macs;
    }
    s->job->n_passes = s->n_passes;
    return ZS_OK;
}

/* --- layout: runs twice, see arena.h ------------------------------------------------------------------------------ */

static bool has_state(const job_state *s, const pass *p, int tensor) {
    return s->job->graph->tensors[tensor].counted && p->plan->tensor_live[tensor];
}

static void layout(job_state *s, zs_arena *arena) {
    const zs_job *job = s->job;
    const zs_graph *g = job->graph;
    const size_t n_tensors = (size_t)g->n_tensors;
    zs_weights_layout(&s->weights, g, job->dtype, arena);
    s->shared_bytes = 0;
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        p->engine = (zs_engine){.graph = g,
                                .plan = p->plan,
                                .exec = &job->exec,
                                .weights = s->weights,
                                .is_short = p->plan->macs < MIN_PASS_MACS / p->group_size / p->n_groups};
        zs_engine_layout(&p->engine, arena);
        p->losses = zs_arena_take_array(arena, (size_t)p->plan->spec.n_groups, sizeof(double));
        const size_t bytes = zs_engine_shared_bytes(&p->engine);
        if (bytes > s->shared_bytes) s->shared_bytes = bytes;
    }
    void ***states = zs_arena_take_array(arena, (size_t)job->n_runs, sizeof *states);
    for (int i = 0; i < job->n_runs; i++) {
        const zs_score_run *r = &job->runs[i];
        const pass *p = find_pass(s, r);
        void **tensors = zs_arena_take_array(arena, n_tensors, sizeof *tensors);
        if (states) states[i] = tensors;
        for (int t = 0; t < g->n_tensors; t++) {
            const size_t bytes = has_state(s, p, t) ? r->score->state_bytes(r, &g->tensors[t]) : 0;
            void *state = bytes ? zs_arena_take(arena, bytes) : NULL;
            if (state) memset(state, 0, bytes);
            if (tensors) tensors[t] = state;
        }
    }
    s->states = states;
    /* Drawn weights live only until they are loaded: in the memory that the passes share. */
    size_t drawn = zs_round_up(n_tensors * sizeof *s->drawn, ZS_ALIGN);
    for (int t = 0; t < g->n_tensors; t++) drawn += zs_round_up(g->tensors[t].size * sizeof(float), ZS_ALIGN);
    drawn += zs_init_scratch_bytes(s->shapes, n_tensors, job->init);
    if (drawn > s->shared_bytes) s->shared_bytes = drawn;
    s->shared = zs_arena_take(arena, s->shared_bytes);
}

static zs_status measure(job_state *s, zs_error *err) {
    zs_arena arena = {0};
    layout(s, &arena);
    if (arena.overflow) return zs_fail(err, ZS_ENOMEM, "the architecture needs more memory than can be addressed");
    s->job->peak_bytes = arena.used;
    return ZS_OK;
}

static zs_status plan_with(job_state *s, zs_recompute recompute, zs_error *err) {
    return make_plans(s, recompute, err) != ZS_OK ? err->status : measure(s, err);
}

/* Plans, and the bytes of all that they need. */
static zs_status plan_all(job_state *s, zs_error *err) {
    if (s->job->recompute >= 0) return plan_with(s, (zs_recompute)s->job->recompute, err);
    if (plan_with(s, ZS_RECOMPUTE_NOTHING, err) != ZS_OK || s->job->peak_bytes <= MUCH_MEMORY) return err->status;
    const size_t plain = s->job->peak_bytes;
    if (plan_with(s, ZS_RECOMPUTE_SUMS, err) != ZS_OK || s->job->peak_bytes < plain) return err->status;
    return plan_with(s, ZS_RECOMPUTE_NOTHING, err);
}

static zs_status check_cap(const job_state *s, zs_error *err) {
    const double mb = 1.0 / (1024 * 1024);
    const size_t n_bytes = s->job->peak_bytes, cap = s->job->max_bytes;
    if (cap && n_bytes > cap)
        return zs_fail(err, ZS_ENOMEM, "max_bytes: scoring needs %.1f MiB, the cap is %.1f MiB; use smaller batches%s",
                       (double)n_bytes * mb, (double)cap * mb,
                       s->job->recompute == ZS_RECOMPUTE_ALL ? "" : " or recompute");
    return ZS_OK;
}

static zs_status take_memory(job_state *s, zs_workspace *w, size_t n_bytes, zs_error *err) {
    const zs_backend *backend = s->job->exec.backend;
    if (w->capacity < n_bytes) {
        zs_workspace_free(w, backend);
        w->base = backend->alloc(backend, n_bytes);
        if (!w->base)
            return zs_fail(err, ZS_ENOMEM, "out of memory: scoring needs %.1f MiB", (double)n_bytes / (1024 * 1024));
        w->capacity = n_bytes;
    }
    zs_arena arena = {0};
    zs_arena_start(&arena, w->base, n_bytes);
    layout(s, &arena);
    ZS_ASSERT(!arena.overflow);
    for (int i = 0; i < s->n_passes; i++) zs_engine_share(&s->passes[i].engine, s->shared);
    return ZS_OK;
}

/* --- weights ------------------------------------------------------------------------------------------------------ */

static void find_shapes(job_state *s) {
    const zs_graph *g = s->job->graph;
    for (int i = 0; i < g->n_tensors; i++) {
        const zs_tensor *t = &g->tensors[i];
        const int w = g->nodes[t->node].tensors[ZS_ROLE_WEIGHT];
        const zs_tensor *layer = w >= 0 ? &g->tensors[w] : t;
        s->shapes[i] = (zs_init_shape){
            .O = t->O, .I = t->I, .R = t->R, .S = t->S, .fan_in = layer->I * layer->R * layer->S, .role = t->role};
    }
}

static void load_weights(job_state *s) {
    const zs_job *job = s->job;
    const zs_graph *g = job->graph;
    const zs_kernels *k = job->exec.kernels;
    char *at = s->shared;
    s->drawn = (float **)(void *)at;
    at += zs_round_up((size_t)g->n_tensors * sizeof *s->drawn, ZS_ALIGN);
    bool all_given = job->given != NULL;
    for (int t = 0; t < g->n_tensors; t++) {
        s->drawn[t] = (float *)(void *)at;
        at += zs_round_up(g->tensors[t].size * sizeof(float), ZS_ALIGN);
        all_given = all_given && job->given[t].data;
    }
    if (!all_given) zs_init_all(s->shapes, (size_t)g->n_tensors, job->init, job->seed, s->drawn, at);
    for (int t = 0; t < g->n_tensors; t++) {
        const zs_given_weight *w = job->given ? &job->given[t] : NULL;
        if (w && w->data)
            k->load_weight(&g->tensors[t], w->dtype, w->data, s->weights.tensors[t]);
        else
            k->load_weight(&g->tensors[t], ZS_F32, s->drawn[t], s->weights.tensors[t]);
    }
    for (int i = 0; i < s->n_passes; i++) zs_engine_pack(&s->passes[i].engine);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void note(zs_blame *blame, int node, size_t count) {
    if (count == 0) return;
    if (blame->node < 0 || node < blame->node) blame->node = node;
    blame->count += count;
}

static void check_inputs(const job_state *s, pass *p) {
    const zs_job *job = s->job;
    const int64_t used = (int64_t)p->group_size * p->n_groups;
    const zs_shape shape = job->graph->nodes[0].shape;
    const size_t n = (size_t)used * (size_t)shape.C * (size_t)shape.H * (size_t)shape.W;
    size_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += (size_t)!(job->x_dtype == ZS_F64 ? isfinite(((const double *)job->x)[i])
                                                : isfinite(((const float *)job->x)[i]));
    note(&p->blame, 0, bad);
    for (int t = 0; t < job->graph->n_tensors; t++)
        if (job->given && job->given[t].data)
            note(&p->blame, job->graph->tensors[t].node,
                 job->exec.kernels->count_nonfinite(job->graph->tensors[t].size, s->weights.tensors[t]));
}

static void observe(void *self, int tensor, int group, const void *dw) {
    job_state *s = self;
    const zs_job *job = s->job;
    const zs_tensor *t = &job->graph->tensors[tensor];
    const zs_kernels *k = job->exec.kernels;
    pass *p = s->now;
    if (p->sink) {
        double *out = job->sink->tensors[tensor];
        if (out) {
            out += (size_t)group * t->size;
            if (t->role == ZS_ROLE_WEIGHT)
                k->store_weight(t, dw, out);
            else
                k->store_vector(t->size, dw, out);
        }
    }
    if (!t->counted) return;
    const size_t bad = k->count_nonfinite(t->size, dw);
    if (bad) {
        p->n_bad += bad;
        if (p->bad_node < 0 || t->node < p->bad_node) p->bad_node = t->node;
    }
    if (!p->any_nonzero) p->any_nonzero = k->count_nonzero(t->size, dw) > 0;
    if (p->sink) return;
    for (int i = 0; i < job->n_runs; i++) {
        const zs_score_run *r = &job->runs[i];
        if (find_pass(s, r) == p && group < r->n_groups && s->states[i][tensor])
            r->score->observe(r, s->states[i][tensor], t, group, dw);
    }
}

static zs_status run_pass(job_state *s, pass *p, zs_error *err) {
    zs_job *job = s->job;
    const zs_shape shape = job->graph->nodes[0].shape;
    const size_t sample = (size_t)shape.C * (size_t)shape.H * (size_t)shape.W * zs_dtype_size(job->x_dtype);
    const int K = job->graph->nodes[job->graph->n_nodes - 1].shape.C;
    const zs_observer observer = {.self = s, .gradient = observe};
    s->now = p;
    check_inputs(s, p);
    for (int g = 0; g < p->n_groups; g += p->plan->spec.n_groups) {
        const int n = g + p->plan->spec.n_groups < p->n_groups ? p->plan->spec.n_groups : p->n_groups - g;
        const size_t row = (size_t)g * (size_t)p->group_size;
        double *logits = p->sink && job->sink->logits ? job->sink->logits + row * (size_t)K : NULL;
        zs_engine_run(&p->engine, p->loss, g, n, job->x_dtype, (const char *)job->x + row * sample, job->labels + row,
                      &observer, p->losses, logits, err);
        job->blocks_begun += p->engine.blocks_begun;
        p->engine.blocks_begun = 0;
        if (err->status != ZS_OK) return err->status;
        if (p->sink && job->sink->losses) memcpy(job->sink->losses + g, p->losses, (size_t)n * sizeof(double));
        note(&p->blame, p->engine.blame.node, p->engine.blame.count);
    }
    if (p->blame.node < 0) note(&p->blame, p->bad_node, p->n_bad);
    note(&job->blame, p->blame.node, p->blame.count);
    const int64_t rows = (int64_t)p->group_size * p->n_groups;
    if (rows > job->samples_seen) job->samples_seen = rows;
    return ZS_OK;
}

static void finish_run(job_state *s, int index) {
    zs_score_run *r = &s->job->runs[index];
    const zs_graph *g = s->job->graph;
    const pass *p = find_pass(s, r);
    const size_t row = r->n_edges > 1 ? (size_t)r->n_edges - 1 : 0;
    bool any_live = false;
    r->value = r->extra = 0;
    r->status = ZS_RESULT_OK;
    r->reason = NULL;
    for (int t = 0; t < g->n_tensors; t++) {
        r->tensor_values[t] = 0;
        if (!g->tensors[t].counted) continue;
        r->tensor_values[t] = r->score->finish_tensor(r, s->states[index][t], &g->tensors[t],
                                                      r->counts ? r->counts + (size_t)t * row : NULL, &any_live);
        r->value += r->tensor_values[t];
    }
    if (r->score->finish) r->score->finish(r, g, s->states[index], any_live);
    if (!p->plan->has_path || !p->any_nonzero) {
        r->status = ZS_RESULT_NO_SIGNAL;
        r->reason = p->plan->has_path ? "every gradient is exactly zero" : "no path from the images to the logits";
    }
    if (p->blame.node >= 0 || !isfinite(r->value)) {
        r->status = ZS_RESULT_NONFINITE;
        r->reason = p->blame.node >= 0 ? "values that are not finite" : "the score overflows";
    }
}

/* --- whole ---------------------------------------------------------------------------------------------------------- */

static zs_status prepare(job_state *s, zs_error *err) {
    const size_t n = (size_t)s->job->graph->n_tensors;
    s->shapes = zs_calloc(n, sizeof *s->shapes);
    s->tensor_zero = zs_calloc(n, sizeof *s->tensor_zero);
    if (!s->shapes || !s->tensor_zero) return zs_fail(err, ZS_ENOMEM, "out of memory");
    find_shapes(s);
    find_zero_tensors(s);
    if (find_passes(s, err) != ZS_OK || plan_all(s, err) != ZS_OK) return err->status;
    return check_cap(s, err);
}

static void release(job_state *s) {
    for (int i = 0; i < s->n_passes; i++) zs_plan_free(s->passes[i].plan);
    zs_free(s->shapes);
    zs_free(s->tensor_zero);
}

zs_status zs_job_measure(zs_job *job, zs_error *err) {
    job_state s = {.job = job};
    prepare(&s, err);
    release(&s);
    return err->status;
}

zs_status zs_job_run(zs_job *job, zs_error *err) {
    job_state s = {.job = job};
    zs_workspace own = {0}, *workspace = job->workspace ? job->workspace : &own;
    if (prepare(&s, err) != ZS_OK) goto done;
    if (take_memory(&s, workspace, job->peak_bytes, err) != ZS_OK) goto done;
    load_weights(&s);
    for (int i = 0; i < s.n_passes; i++)
        if (run_pass(&s, &s.passes[i], err) != ZS_OK) goto done;
    for (int i = 0; i < job->n_runs; i++) finish_run(&s, i);
done:
    zs_workspace_free(&own, job->exec.backend);
    release(&s);
    return err->status;
}
