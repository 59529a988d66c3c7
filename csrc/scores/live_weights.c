/* Number of weights on a path from the image to the logits that crosses no operation that multiplies by zero; 0 without
   such a path, stem and classifier included. */
#include "core/count.h"
#include "scores/score.h"

static const char *const PARAMS[] = {NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_pass = true};
}

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    zs_counts counts;
    zs_error err;
    zs_error_clear(&err);
    run->value = zs_graph_count(run->graph, &counts, &err) == ZS_OK ? (double)counts.live_weights : INFINITY;
}

const zs_score zs_score_live_weights = {
    .name = "live_weights",
    .params = PARAMS,
    .needs = needs,
    .finish = finish,
};
