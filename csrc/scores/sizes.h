/* What scores that only count have in common. */
#ifndef ZS_SIZES_H
#define ZS_SIZES_H

#include "core/count.h"
#include "scores/score.h"

static inline zs_needs zs_sizes_need(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.no_pass = true};
}

/* False: a count leaves 63 bits, and the value is infinite. */
static inline bool zs_sizes_of(zs_score_run *run, zs_counts *counts) {
    zs_error err;
    zs_error_clear(&err);
    if (zs_graph_count(run->graph, counts, &err) == ZS_OK) return true;
    run->value = INFINITY;
    return false;
}

#endif
