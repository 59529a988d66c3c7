/* Number of weights on a path from the image to the logits that crosses no operation that multiplies by zero; 0 without
   such a path, stem and classifier included. */
#include "scores/sizes.h"

static const char *const PARAMS[] = {NULL};

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    zs_counts counts;
    if (zs_sizes_of(run, &counts)) run->value = (double)counts.live_weights;
}

const zs_score zs_score_live_weights = {
    .name = "live_weights",
    .params = PARAMS,
    .needs = zs_sizes_need,
    .finish = finish,
};
