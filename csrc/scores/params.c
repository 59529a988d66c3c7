/* Number of parameters, from sizes alone: weights of convolutions and linear layers or, with `all`, biases, gammas and
   betas, too. */
#include "core/count.h"
#include "scores/score.h"

enum { ALL };

static const char *const PARAMS[] = {"all", NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_pass = true};
}

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    zs_counts counts;
    zs_error err;
    zs_error_clear(&err);
    if (zs_graph_count(run->graph, &counts, &err) != ZS_OK)
        run->value = INFINITY;
    else
        run->value = (double)(run->params[ALL] != 0 ? counts.params : counts.weights);
}

const zs_score zs_score_params = {
    .name = "params",
    .params = PARAMS,
    .needs = needs,
    .finish = finish,
};
