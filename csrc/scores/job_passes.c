/* Which passes a job needs: runs that read the same images through the same network with the same weights, grouping and
   arithmetic share one; those that only look at activations join any of these, whatever its loss. What a run finds in a
   pass does not depend on who shares it. */
#include <limits.h>

#include "scores/job_state.h"

/* --- weights ------------------------------------------------------------------------------------------------------ */

static bool all_zero(const zs_given_weight *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (w->dtype == ZS_F64 ? ((const double *)w->data)[i] != 0 : ((const float *)w->data)[i] != 0) return false;
    return true;
}

/* Known before anything is drawn: betas start at zero, biases in all initialisers but PyTorch's default. */
static void find_zero_tensors(const zs_job *job, weight_set *w) {
    for (int i = 0; i < job->graph->n_tensors; i++) {
        const zs_tensor *t = &job->graph->tensors[i];
        if (t->role != ZS_ROLE_BIAS && t->role != ZS_ROLE_BETA) continue;
        if (w->given && job->given[i].data)
            w->tensor_zero[i] = all_zero(&job->given[i], t->size);
        else
            w->tensor_zero[i] = t->role == ZS_ROLE_BETA || w->init != ZS_INIT_TORCH;
    }
}

/* The number of the set, which is made if it is new. Given weights are the job's own, not those of a score that draws
   from an initialiser of its own. */
static int find_set(job_state *s, int init, bool absolute, zs_dtype dtype, zs_error *err) {
    const zs_job *job = s->job;
    const weight_set wanted = {
        .init = init >= 0 ? init : job->init, .given = init < 0 && job->given, .absolute = absolute, .dtype = dtype};
    for (int i = 0; i < s->n_sets; i++) {
        const weight_set *w = &s->sets[i];
        if (w->init == wanted.init && w->given == wanted.given && w->absolute == absolute && w->dtype == dtype)
            return i;
    }
    if (s->n_sets == MAX_WEIGHT_SETS) {
        zs_fail(err, ZS_EINVAL, "scores: more than %d different sets of weights", MAX_WEIGHT_SETS);
        return -1;
    }
    weight_set *w = &s->sets[s->n_sets];
    *w = wanted;
    w->tensor_zero = zs_calloc((size_t)job->graph->n_tensors, sizeof *w->tensor_zero);
    if (!w->tensor_zero) {
        zs_fail(err, ZS_ENOMEM, "out of memory");
        return -1;
    }
    find_zero_tensors(job, w);
    return s->n_sets++;
}

/* --- passes ------------------------------------------------------------------------------------------------------- */

static bool fits(const pass *p, const pass *wanted) {
    return !p->sink && !wanted->sink && p->n_sweeps == 0 && wanted->n_sweeps == 0 && p->source == wanted->source &&
           p->weights == wanted->weights && p->group_size == wanted->group_size && p->algo == wanted->algo &&
           p->dead == wanted->dead && p->identity_bn == wanted->identity_bn &&
           (p->loss == wanted->loss || !p->backward || !wanted->backward);
}

/* Whether a node that the run watches is watched by its input where the pass shows its output, or the other way round:
   one pass shows one of them. */
static bool sees_other_side(const job_state *s, const pass *p, const zs_score_run *r) {
    const unsigned input = ZS_WATCH_INPUT, stats = ZS_WATCH_STATS;
    for (int i = 0; p->watch && r && r->score->watch && i < s->job->graph->n_nodes; i++) {
        const unsigned there = p->watch[i] & ~stats, wanted = r->score->watch(r, i) & ~stats;
        if (there && wanted && ((there ^ wanted) & input)) return true;
    }
    return false;
}

/* The number of the pass that takes `wanted` for a run, or for the sink (NULL); -1: none. */
static int join_pass(job_state *s, pass wanted, const zs_score_run *r, zs_error *err) {
    const zs_source *source = &s->job->sources[wanted.source];
    const int group_size = wanted.group_size, n_groups = wanted.n_groups;
    if (group_size < 1 || n_groups < 1 || (int64_t)group_size * n_groups > source->n_samples) {
        zs_fail(err, ZS_EINVAL, "x: %d group%s of %d need %lld samples, got %lld", n_groups, n_groups == 1 ? "" : "s",
                group_size, (long long)group_size * n_groups, (long long)source->n_samples);
        return -1;
    }
    for (int i = 0; i < s->n_passes; i++) {
        pass *p = &s->passes[i];
        if (!fits(p, &wanted) || sees_other_side(s, p, r)) continue;
        if (wanted.backward) p->loss = wanted.loss;
        p->backward = p->backward || wanted.backward;
        p->hessian = p->hessian || wanted.hessian;
        if (wanted.params > p->params) p->params = wanted.params;
        if (n_groups > p->n_groups) p->n_groups = n_groups;
        return i;
    }
    if (s->n_passes == MAX_PASSES) {
        zs_fail(err, ZS_EINVAL, "scores: more than %d different groupings", MAX_PASSES);
        return -1;
    }
    wanted.blame.node = wanted.bad_node = -1;
    wanted.first_nonzero = wanted.bad_forward = wanted.bad_gradient = INT_MAX;
    wanted.exec = s->job->exec;
    wanted.exec.kernels = s->job->kernels[wanted.dtype];
    s->passes[s->n_passes] = wanted;
    return s->n_passes++;
}

static zs_params params_of(const zs_needs *n) {
    if (n->forward_only || n->no_params) return ZS_PARAMS_NONE;
    return n->all_params ? ZS_PARAMS_ALL : ZS_PARAMS_WEIGHTS;
}

static zs_status join_run(job_state *s, zs_score_run *r, zs_error *err) {
    const zs_job *job = s->job;
    const zs_needs *needs = &r->needs;
    const zs_dtype dtype = needs->float64 ? ZS_F64 : job->dtype;
    const bool signs = job->algo == ZS_ALGO_AUTO && r->score->keeps_signs;
    r->weight_set = find_set(s, r->init, needs->absolute, dtype, err);
    r->pass = -1;
    if (r->weight_set < 0 || needs->no_pass) return err->status;
    const pass wanted = {.source = r->source,
                         .weights = r->weight_set,
                         .dtype = dtype,
                         .group_size = r->group_size,
                         .algo = signs ? ZS_ALGO_SIGNS : job->algo,
                         .dead = job->dead || needs->dead,
                         .identity_bn = needs->identity_bn,
                         .loss = r->loss,
                         .backward = !needs->forward_only,
                         .params = params_of(needs),
                         .n_groups = r->n_groups,
                         .n_sweeps = needs->n_sweeps,
                         .hessian = needs->hessian};
    r->pass = join_pass(s, wanted, r, err);
    return err->status;
}

static zs_status watch_for(job_state *s, const zs_score_run *r, zs_error *err) {
    if (r->pass < 0 || !r->score->watch) return ZS_OK;
    pass *p = &s->passes[r->pass];
    const int n = s->job->graph->n_nodes;
    if (!p->watch) p->watch = zs_calloc((size_t)n, sizeof *p->watch);
    if (!p->watch) return zs_fail(err, ZS_ENOMEM, "out of memory");
    for (int i = 0; i < n; i++) p->watch[i] |= (uint8_t)r->score->watch(r, i);
    return ZS_OK;
}

static zs_status prepare_run(const zs_job *job, zs_score_run *r, zs_error *err) {
    r->graph = job->graph;
    r->labels = job->sources[r->source].labels;
    r->seed = job->seed;
    r->kernels = job->kernels[job->dtype];
    r->needs = r->score->needs ? r->score->needs(r) : (zs_needs){0};
    r->kernels = job->kernels[r->needs.float64 ? ZS_F64 : job->dtype];
    if (r->n_groups < r->score->min_groups)
        return zs_fail(err, ZS_EINVAL, "n_batches: %s needs at least %d groups, got %d", r->score->name,
                       r->score->min_groups, r->n_groups);
    const char *wrong = r->score->check ? r->score->check(r) : NULL;
    return wrong ? zs_fail(err, ZS_EINVAL, "%s: %s", r->score->name, wrong) : ZS_OK;
}

zs_status zs_job_find_passes(job_state *s, zs_error *err) {
    const zs_job *job = s->job;
    for (int i = 0; i < job->n_runs; i++)
        if (prepare_run(job, &job->runs[i], err) != ZS_OK) return err->status;
    for (int forward_only = 0; forward_only < 2; forward_only++) /* what only looks joins what is there */
        for (int i = 0; i < job->n_runs; i++) {
            zs_score_run *r = &job->runs[i];
            if (r->needs.forward_only != (forward_only != 0)) continue;
            if (join_run(s, r, err) != ZS_OK || watch_for(s, r, err) != ZS_OK) return err->status;
        }
    if (!job->sink) return ZS_OK;
    const int set = find_set(s, -1, false, job->dtype, err);
    if (set < 0) return err->status;
    join_pass(s,
              (pass){.weights = set,
                     .dtype = job->dtype,
                     .group_size = job->sink->group_size,
                     .n_groups = job->sink->n_groups,
                     .loss = job->sink->loss,
                     .algo = job->algo,
                     .dead = job->dead,
                     .backward = true,
                     .params = ZS_PARAMS_ALL,
                     .sink = true},
              NULL, err);
    return err->status;
}
