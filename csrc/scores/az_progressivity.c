/* AZ-NAS, progressivity: min over m of E_{m+1} - E_m, the smallest step of entropy from one feature to the next
   (entropy.h). */
#include "scores/entropy.h"

static const char *const PARAMS[] = {NULL};

static void finish(zs_score_run *run, const zs_finish *f) {
    int n;
    const double *e = zs_entropies(run, f->memory, &n);
    if (!e) return;
    run->value = INFINITY;
    for (int m = 0; m + 1 < n; m++) run->value = fmin(run->value, e[m + 1] - e[m]);
}

const zs_score zs_score_az_progressivity = {
    .name = "az_progressivity",
    .params = PARAMS,
    .min_groups = 1,
    .needs = zs_entropy_needs,
    .watch = zs_entropy_watch,
    .memory_bytes = zs_entropy_memory_bytes,
    .look = zs_entropy_look,
    .finish = finish,
};
