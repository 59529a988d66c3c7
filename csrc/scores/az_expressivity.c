/* AZ-NAS, expressivity: sum over all features, the stem's too, of their entropies (entropy.h). */
#include "scores/entropy.h"

static const char *const PARAMS[] = {NULL};

static void finish(zs_score_run *run, const zs_finish *f) {
    int n;
    const double *e = zs_entropies(run, f->memory, &n);
    for (int m = 0; e && m < n; m++) run->value += e[m];
}

const zs_score zs_score_az_expressivity = {
    .name = "az_expressivity",
    .params = PARAMS,
    .min_groups = 1,
    .needs = zs_entropy_needs,
    .watch = zs_entropy_watch,
    .memory_bytes = zs_entropy_memory_bytes,
    .look = zs_entropy_look,
    .finish = finish,
};
