#include <math.h>
#include <string.h>

#include "scores/job_state.h"

/* A pass takes as many groups as keep it near this many samples; results do not depend on it. */
enum { PASS_SAMPLES = 64 };

/* An architecture that needs more has its sums made again in backward, for up to 10 % more time. */
#define MUCH_MEMORY ((size_t)256 << 20)

/* One that needs more even so, or more than the caller's cap, has all between checkpoints made again. */
#define MOST_MEMORY ((size_t)8 * 1000 * 1000 * 1000)

/* Multiply-adds forward, of all samples. Below, one thread takes some 15 ms; several save a part of that on an idle
   machine, but wait for each other at every step, and where a neighbour holds a processor that took 100 to 600 ms. */
#define MIN_PASS_MACS ((int64_t)250 * 1000 * 1000)

void zs_workspace_free(zs_workspace *w, const zs_backend *backend) {
    backend->free(backend, w->base);
    w->base = NULL;
    w->capacity = 0;
}

/* --- plans ------------------------------------------------------------------------------------------------------- */

static zs_status make_plans(job_state *s, zs_recompute recompute, zs_error *err) {
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        zs_plan_free(p->plan);
        p->plan = NULL;
        int chunk = PASS_SAMPLES / p->group_size;
        if (chunk < 1) chunk = 1;
        if (chunk > p->n_groups) chunk = p->n_groups;
        const zs_plan_spec spec = {
            .kernels = p->exec.kernels,
            .group_size = p->group_size,
            .n_groups = chunk,
            .backward = p->backward,
            .dead = p->dead,
            .params = p->params,
            .watch = p->watch,
            .identity_bn = p->identity_bn,
            .retain = p->n_sweeps > 1,
            .algo = p->algo,
            .recompute = recompute,
            .tensor_zero = s->sets[p->weights].tensor_zero,
        };
        if (zs_plan_make(s->job->graph, &spec, &p->plan, err) != ZS_OK) return err->status;
        if (zs_job_plan_hessian(s, p, err) != ZS_OK) return err->status;
        if (i == 0) s->job->macs = p->plan->macs;
    }
    s->job->n_passes = s->n_passes;
    return ZS_OK;
}

/* --- layout: runs twice, see arena.h ------------------------------------------------------------------------------ */

static size_t state_bytes(const job_state *s, const zs_score_run *r, int tensor) {
    const zs_tensor *t = &s->job->graph->tensors[tensor];
    if (!r->score->state_bytes || r->pass < 0 || !s->passes[r->pass].plan->tensor_live[tensor]) return 0;
    return t->counted || r->needs.all_params ? r->score->state_bytes(r, t) : 0;
}

static void *take_zeroed(zs_arena *arena, size_t n_bytes) {
    void *p = n_bytes ? zs_arena_take(arena, n_bytes) : NULL;
    if (p) memset(p, 0, n_bytes);
    return p;
}

static void layout_runs(job_state *s, zs_arena *arena) {
    const zs_job *job = s->job;
    const size_t n_runs = (size_t)job->n_runs, n_tensors = (size_t)job->graph->n_tensors;
    void ***states = zs_arena_take_array(arena, n_runs, sizeof *states);
    void **memory = zs_arena_take_array(arena, n_runs, sizeof *memory);
    for (int i = 0; i < job->n_runs; i++) {
        const zs_score_run *r = &job->runs[i];
        void **tensors = zs_arena_take_array(arena, n_tensors, sizeof *tensors);
        for (int t = 0; t < job->graph->n_tensors; t++) {
            void *state = take_zeroed(arena, state_bytes(s, r, t));
            if (tensors) tensors[t] = state;
        }
        void *own = take_zeroed(arena, r->score->memory_bytes ? r->score->memory_bytes(r) : 0);
        if (states) states[i] = tensors;
        if (memory) memory[i] = own;
    }
    s->states = states;
    s->memory = memory;
}

static void layout(job_state *s, zs_arena *arena) {
    const zs_job *job = s->job;
    const zs_graph *g = job->graph;
    const size_t n_tensors = (size_t)g->n_tensors;
    for (int i = 0; i < s->n_sets; i++) zs_weights_layout(&s->sets[i].weights, g, s->sets[i].dtype, arena);
    s->shared_bytes = 0;
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        p->engine = (zs_engine){.graph = g,
                                .plan = p->plan,
                                .exec = &p->exec,
                                .weights = s->sets[p->weights].weights,
                                .is_short = p->plan->macs < MIN_PASS_MACS / p->group_size / p->n_groups};
        zs_engine_layout(&p->engine, arena);
        p->losses = zs_arena_take_array(arena, (size_t)p->plan->spec.n_groups, sizeof(double));
        const size_t bytes = zs_engine_shared_bytes(&p->engine);
        if (bytes > s->shared_bytes) s->shared_bytes = bytes;
        const size_t second = zs_job_layout_hessian(s, p, arena);
        if (second > s->shared_bytes) s->shared_bytes = second;
    }
    layout_runs(s, arena);
    /* Drawn weights live only until they are loaded: in the memory that the passes share. */
    size_t drawn = zs_round_up(n_tensors * sizeof *s->drawn, ZS_ALIGN), scratch = 0;
    for (int t = 0; t < g->n_tensors; t++) drawn += zs_round_up(g->tensors[t].size * sizeof(float), ZS_ALIGN);
    for (int i = 0; i < s->n_sets; i++) {
        const size_t wanted = zs_init_scratch_bytes(s->shapes, n_tensors, s->sets[i].init);
        if (wanted > scratch) scratch = wanted;
    }
    if (drawn + scratch > s->shared_bytes) s->shared_bytes = drawn + scratch;
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

/* Plans, and the bytes of all that they need: each step makes more again, and is taken where the last one takes too
   much. */
static zs_status plan_all(job_state *s, zs_error *err) {
    if (s->job->recompute >= 0) return plan_with(s, (zs_recompute)s->job->recompute, err);
    const size_t most = s->job->max_bytes ? s->job->max_bytes : MOST_MEMORY;
    const size_t enough[] = {[ZS_RECOMPUTE_SUMS] = most < MUCH_MEMORY ? most : MUCH_MEMORY, [ZS_RECOMPUTE_ALL] = most};
    zs_recompute best = ZS_RECOMPUTE_NOTHING, last = best;
    if (plan_with(s, best, err) != ZS_OK) return err->status;
    size_t least = s->job->peak_bytes;
    while (last < ZS_RECOMPUTE_ALL && least > enough[last + 1]) {
        if (plan_with(s, ++last, err) != ZS_OK) return err->status;
        if (s->job->peak_bytes >= least) continue;
        best = last;
        least = s->job->peak_bytes;
    }
    return best == last ? ZS_OK : plan_with(s, best, err);
}

static zs_status check_cap(const job_state *s, zs_error *err) {
    const double mb = 1.0 / (1024 * 1024);
    const size_t n_bytes = s->job->peak_bytes, cap = s->job->max_bytes;
    if (cap && n_bytes > cap)
        return zs_fail(err, ZS_ENOMEM, "max_bytes: scoring needs %.1f MiB, the cap is %.1f MiB; use smaller batches",
                       (double)n_bytes * mb, (double)cap * mb);
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

/* |w|, in the engine's memory. */
static void make_absolute(zs_dtype dtype, size_t n, void *w) {
    for (size_t i = 0; i < n; i++)
        if (dtype == ZS_F64)
            ((double *)w)[i] = fabs(((double *)w)[i]);
        else
            ((float *)w)[i] = fabsf(((float *)w)[i]);
}

static void load_set(job_state *s, const weight_set *set) {
    const zs_job *job = s->job;
    const zs_graph *g = job->graph;
    const zs_kernels *k = job->kernels[set->dtype];
    char *at = s->shared;
    s->drawn = (float **)(void *)at;
    at += zs_round_up((size_t)g->n_tensors * sizeof *s->drawn, ZS_ALIGN);
    bool all_given = set->given;
    for (int t = 0; t < g->n_tensors; t++) {
        s->drawn[t] = (float *)(void *)at;
        at += zs_round_up(g->tensors[t].size * sizeof(float), ZS_ALIGN);
        all_given = all_given && job->given[t].data;
    }
    if (!all_given) zs_init_all(s->shapes, (size_t)g->n_tensors, set->init, job->seed, s->drawn, at);
    for (int t = 0; t < g->n_tensors; t++) {
        const zs_given_weight *w = set->given ? &job->given[t] : NULL;
        if (w && w->data)
            k->load_weight(&g->tensors[t], w->dtype, w->data, set->weights.tensors[t]);
        else
            k->load_weight(&g->tensors[t], ZS_F32, s->drawn[t], set->weights.tensors[t]);
        if (set->absolute) make_absolute(set->dtype, g->tensors[t].size, set->weights.tensors[t]);
    }
}

static void load_weights(job_state *s) {
    for (int i = 0; i < s->n_sets; i++) load_set(s, &s->sets[i]);
    for (int i = 0; i < s->job->n_runs; i++) {
        zs_score_run *r = &s->job->runs[i];
        r->weights = s->sets[r->weight_set].weights.tensors;
    }
}

/* --- running ------------------------------------------------------------------------------------------------------ */

void zs_job_note(zs_blame *blame, int node, size_t count) {
    if (count == 0) return;
    if (blame->node < 0 || node < blame->node) blame->node = node;
    blame->count += count;
}

static size_t count_bad_images(const zs_source *source, size_t image, int64_t first, int64_t n) {
    size_t bad = 0;
    for (size_t i = (size_t)first * image; i < (size_t)(first + n) * image; i++)
        bad += (size_t)!(source->dtype == ZS_F64 ? isfinite(((const double *)source->x)[i])
                                                 : isfinite(((const float *)source->x)[i]));
    return bad;
}

static void check_inputs(const job_state *s, pass *p) {
    const zs_job *job = s->job;
    const weight_set *set = &s->sets[p->weights];
    const zs_shape shape = job->graph->nodes[0].shape;
    const size_t image = (size_t)shape.C * (size_t)shape.H * (size_t)shape.W;
    for (int g = 0; g < p->n_groups; g++) {
        const int64_t first = (int64_t)g * p->group_size;
        const size_t bad = count_bad_images(&job->sources[p->source], image, first, p->group_size);
        zs_job_note(&p->blame, 0, bad);
        if (bad && g < p->bad_forward) p->bad_forward = g;
    }
    for (int t = 0; t < job->graph->n_tensors; t++) {
        if (!set->given || !job->given[t].data) continue;
        const size_t bad = p->exec.kernels->count_nonfinite(job->graph->tensors[t].size, set->weights.tensors[t]);
        zs_job_note(&p->blame, job->graph->tensors[t].node, bad);
        if (bad) p->bad_forward = 0;
    }
}

static void fill_sink(const zs_gradient_sink *sink, const zs_kernels *k, const zs_tensor *t, int tensor, int group,
                      const void *dw) {
    double *out = sink->tensors[tensor];
    if (!out) return;
    out += (size_t)group * t->size;
    if (t->role == ZS_ROLE_WEIGHT)
        k->store_weight(t, dw, out);
    else
        k->store_vector(t->size, dw, out);
}

size_t zs_job_check_gradient(pass *p, const zs_tensor *t, const void *dw) {
    const size_t bad = p->exec.kernels->count_nonfinite(t->size, dw);
    p->n_bad += bad;
    if (bad && (p->bad_node < 0 || t->node < p->bad_node)) p->bad_node = t->node;
    return bad;
}

static void observe(void *self, int tensor, int group, const void *dw) {
    job_state *s = self;
    const zs_job *job = s->job;
    const zs_tensor *t = &job->graph->tensors[tensor];
    pass *p = s->now;
    const zs_kernels *k = p->exec.kernels;
    if (p->sink) fill_sink(job->sink, k, t, tensor, group, dw);
    if (zs_job_check_gradient(p, t, dw) && group < p->bad_gradient) p->bad_gradient = group;
    zs_job_keep_gradient(s, p, tensor, group, dw);
    if (group < p->first_nonzero && t->counted && k->count_nonzero(t->size, dw) > 0) p->first_nonzero = group;
    for (int i = 0; i < job->n_runs; i++) {
        const zs_score_run *r = &job->runs[i];
        if (r->pass < 0 || &s->passes[r->pass] != p || !s->states[i][tensor] || !r->score->observe) continue;
        const int number = p->n_sweeps > 0 ? p->sweep : group;
        if (group < r->n_groups) r->score->observe(r, s->states[i][tensor], t, number, dw);
    }
}

static void look(void *self, const zs_look *shown) {
    job_state *s = self;
    for (int i = 0; i < s->job->n_runs; i++) {
        const zs_score_run *r = &s->job->runs[i];
        if (r->pass < 0 || &s->passes[r->pass] != s->now || !r->score->watch) continue;
        zs_look own = *shown;
        own.watch &= r->score->watch(r, shown->node);
        if (own.first_group + own.n_groups > r->n_groups) own.n_groups = r->n_groups - own.first_group;
        if (own.watch && own.n_groups > 0) r->score->look(r, s->memory[i], &own);
    }
}

static const zs_observer OBSERVER = {.gradient = observe, .look = look};

/* Backward once, or as often as the one run of the pass wants it. */
static zs_status run_backward(job_state *s, pass *p, zs_error *err) {
    if (!p->backward) return ZS_OK;
    if (p->n_sweeps == 0) return zs_engine_backward(&p->engine, err);
    int run = 0;
    while (s->job->runs[run].pass < 0 || &s->passes[s->job->runs[run].pass] != p) run++;
    const zs_score_run *r = &s->job->runs[run];
    for (int sweep = 0; sweep < p->n_sweeps; sweep++) {
        p->sweep = sweep;
        const int sample = r->score->begin_sweep(r, s->memory[run], sweep);
        if (zs_engine_backward_from(&p->engine, sample, 0, err) != ZS_OK) break;
    }
    return err->status;
}

/* The engine blames nodes, not groups: of a chunk whose images are not all finite those are the cause. */
static void note_forward(pass *p, int first_group) {
    zs_job_note(&p->blame, p->engine.blame.node, p->engine.blame.count);
    const bool explained = p->bad_forward < first_group + p->plan->spec.n_groups;
    if (p->engine.blame.node >= 0 && !explained) p->bad_forward = first_group;
}

static zs_status run_pass(job_state *s, pass *p, zs_error *err) {
    zs_job *job = s->job;
    const zs_source *source = &job->sources[p->source];
    const zs_shape shape = job->graph->nodes[0].shape;
    const size_t sample = (size_t)shape.C * (size_t)shape.H * (size_t)shape.W * zs_dtype_size(source->dtype);
    const int K = job->graph->nodes[job->graph->n_nodes - 1].shape.C;
    zs_observer observer = OBSERVER;
    observer.self = s;
    s->now = p;
    check_inputs(s, p);
    for (int g = 0; g < p->n_groups; g += p->plan->spec.n_groups) {
        const int n = g + p->plan->spec.n_groups < p->n_groups ? p->plan->spec.n_groups : p->n_groups - g;
        const size_t row = (size_t)g * (size_t)p->group_size;
        double *logits = p->sink && job->sink->logits ? job->sink->logits + row * (size_t)K : NULL;
        zs_engine_forward(&p->engine, p->loss, g, n, source->dtype, (const char *)source->x + row * sample,
                          source->labels + row, &observer, p->losses, logits, err);
        if (err->status == ZS_OK) run_backward(s, p, err);
        job->blocks_begun += p->engine.blocks_begun;
        p->engine.blocks_begun = 0;
        if (err->status != ZS_OK) return err->status;
        if (p->sink && job->sink->losses) memcpy(job->sink->losses + g, p->losses, (size_t)n * sizeof(double));
        note_forward(p, g);
    }
    if (zs_job_run_hessian(s, p, err) != ZS_OK) return err->status;
    if (p->blame.node < 0) zs_job_note(&p->blame, p->bad_node, p->n_bad);
    zs_job_note(&job->blame, p->blame.node, p->blame.count);
    const int64_t rows = (int64_t)p->group_size * p->n_groups;
    if (rows > job->samples_seen) job->samples_seen = rows;
    return ZS_OK;
}

static bool sum_tensors(const job_state *s, zs_score_run *r, void *const *states) {
    const zs_graph *g = s->job->graph;
    const size_t row = r->n_edges > 1 ? (size_t)r->n_edges - 1 : 0;
    bool any_live = false;
    for (int t = 0; t < g->n_tensors; t++) {
        r->tensor_values[t] = 0;
        if (!g->tensors[t].counted || !r->score->finish_tensor) continue;
        r->tensor_values[t] = r->score->finish_tensor(r, states[t], &g->tensors[t],
                                                      r->counts ? r->counts + (size_t)t * row : NULL, &any_live);
        r->value += r->tensor_values[t];
    }
    return any_live;
}

static bool has_met_nonfinite(const pass *p, const zs_score_run *r) {
    return p->bad_forward < r->n_groups || (!r->needs.forward_only && p->bad_gradient < r->n_groups) ||
           (r->needs.hessian && p->bad_hessian);
}

static void finish_run(job_state *s, int index) {
    zs_score_run *r = &s->job->runs[index];
    const pass *p = r->pass >= 0 ? &s->passes[r->pass] : NULL;
    r->value = r->extra = 0;
    r->status = ZS_RESULT_OK;
    r->reason = NULL;
    const zs_finish f = {
        .states = s->states[index], .memory = s->memory[index], .any_live = sum_tensors(s, r, s->states[index])};
    if (r->score->finish) r->score->finish(r, &f);
    const bool sees_signal = r->score->sees_signal && !r->needs.all_params;
    if (p && sees_signal && (!p->plan->has_path || p->first_nonzero >= r->n_groups)) {
        r->status = ZS_RESULT_NO_SIGNAL;
        r->reason = p->plan->has_path ? "every gradient is exactly zero" : "no path from the images to the logits";
    }
    const bool met = p && has_met_nonfinite(p, r);
    const bool fine = r->status == ZS_RESULT_OK || r->status == ZS_RESULT_NO_SIGNAL;
    if (met || (fine && !isfinite(r->value))) {
        r->status = ZS_RESULT_NONFINITE;
        r->reason = met ? "values that are not finite" : "the score overflows";
    }
}

/* --- whole -------------------------------------------------------------------------------------------------------- */

static zs_status prepare(job_state *s, zs_error *err) {
    const size_t n = (size_t)s->job->graph->n_tensors;
    s->shapes = zs_calloc(n, sizeof *s->shapes);
    if (!s->shapes) return zs_fail(err, ZS_ENOMEM, "out of memory");
    zs_init_shapes(s->job->graph, s->shapes);
    if (zs_job_find_passes(s, err) != ZS_OK || plan_all(s, err) != ZS_OK) return err->status;
    return check_cap(s, err);
}

static void release(job_state *s) {
    for (int i = 0; i < s->n_passes; i++) {
        zs_plan_free(s->passes[i].plan);
        zs_job_free_hessian(&s->passes[i]);
        zs_free(s->passes[i].watch);
    }
    for (int i = 0; i < s->n_sets; i++) zs_free(s->sets[i].tensor_zero);
    zs_free(s->shapes);
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
