/* Number of parameters, from sizes alone: weights of convolutions and linear layers or, with `all`, biases, gammas and
   betas, too. */
#include "scores/sizes.h"

enum { ALL };

static const char *const PARAMS[] = {"all", NULL};

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    zs_counts counts;
    if (zs_sizes_of(run, &counts)) run->value = (double)(run->params[ALL] != 0 ? counts.params : counts.weights);
}

const zs_score zs_score_params = {
    .name = "params",
    .params = PARAMS,
    .needs = zs_sizes_need,
    .finish = finish,
};
