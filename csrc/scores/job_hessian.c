/* Products of the Hessian and the gradient of a pass's first group. The pass, shared with whoever reads the same
   gradient, leaves the gradient of each counted weight here; a second one over the dual graph, with the same images and
   weights, has it as its direction. Planned beforehand, so that its bytes are part of what is known before anything is
   allocated. */
#include <string.h>

#include "scores/job_state.h"

void zs_job_free_hessian(pass *p) {
    zs_plan_free(p->second.plan);
    zs_dual_free(&p->second.dual);
    p->second.plan = NULL;
}

zs_status zs_job_plan_hessian(const job_state *s, pass *p, zs_error *err) {
    const zs_graph *g = s->job->graph;
    zs_job_free_hessian(p);
    if (!p->hessian) return ZS_OK;
    bool *moves = zs_alloc((size_t)g->n_tensors * sizeof *moves);
    if (!moves) return zs_fail(err, ZS_ENOMEM, "out of memory");
    for (int t = 0; t < g->n_tensors; t++) moves[t] = g->tensors[t].counted && p->plan->tensor_live[t];
    zs_dual_make(g, moves, &p->second.dual, err);
    zs_free(moves);
    if (err->status != ZS_OK || !p->second.dual.graph) return err->status;
    zs_plan_spec spec = p->plan->spec;
    spec.n_groups = 1;
    spec.params = ZS_PARAMS_WEIGHTS;
    spec.watch = NULL;
    spec.retain = false;
    return zs_plan_make(p->second.dual.graph, &spec, &p->second.plan, err);
}

size_t zs_job_layout_hessian(job_state *s, pass *p, zs_arena *arena) {
    second_pass *second = &p->second;
    const zs_dual *dual = &second->dual;
    if (!second->plan) return 0;
    void *const *weights = s->sets[p->weights].weights.tensors;
    void **tensors = zs_arena_take_array(arena, (size_t)dual->graph->n_tensors, sizeof *tensors);
    for (int t = 0; t < s->job->graph->n_tensors; t++) {
        if (tensors) tensors[t] = weights[t];
        if (dual->direction[t] < 0) continue;
        void *kept = zs_arena_take_array(arena, dual->graph->tensors[t].size, zs_dtype_size(p->dtype));
        if (tensors) tensors[dual->direction[t]] = kept;
    }
    second->engine = (zs_engine){.graph = dual->graph,
                                 .plan = second->plan,
                                 .exec = &p->exec,
                                 .weights = {.tensors = tensors},
                                 .is_short = p->engine.is_short};
    zs_engine_layout(&second->engine, arena);
    return zs_engine_shared_bytes(&second->engine);
}

void zs_job_keep_gradient(const job_state *s, pass *p, int tensor, int group, const void *dw) {
    const zs_tensor *t = &s->job->graph->tensors[tensor];
    const int v = p->second.plan ? p->second.dual.direction[tensor] : -1;
    if (group == 0 && v >= 0) memcpy(p->second.engine.weights.tensors[v], dw, t->size * zs_dtype_size(p->dtype));
}

static void observe(void *self, int tensor, int group, const void *h) {
    (void)group;
    job_state *s = self;
    const zs_tensor *t = &s->job->graph->tensors[tensor];
    if (zs_job_check_gradient(s->now, t, h)) s->now->bad_hessian = true;
    for (int i = 0; i < s->job->n_runs; i++) {
        const zs_score_run *r = &s->job->runs[i];
        if (r->pass < 0 || &s->passes[r->pass] != s->now || !r->needs.hessian) continue;
        if (s->states[i][tensor]) r->score->observe_hessian(r, s->states[i][tensor], t, h);
    }
}

zs_status zs_job_run_hessian(job_state *s, pass *p, zs_error *err) {
    zs_engine *e = &p->second.engine;
    const zs_source *source = &s->job->sources[p->source];
    const zs_observer observer = {.self = s, .gradient = observe};
    double slope; /* of the loss along its gradient */
    if (!p->second.plan) return ZS_OK;
    zs_engine_share(e, s->shared);
    zs_engine_forward(e, ZS_LOSS_CROSS_ENTROPY_TANGENT, 0, 1, source->dtype, source->x, source->labels, &observer,
                      &slope, NULL, err);
    if (err->status == ZS_OK) zs_engine_backward(e, err);
    s->job->blocks_begun += e->blocks_begun;
    if (e->blame.node >= 0) {
        p->bad_hessian = true;
        zs_job_note(&p->blame, p->second.dual.origin[e->blame.node], e->blame.count);
    }
    return err->status;
}
