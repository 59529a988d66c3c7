/* Operations of one image forward, from sizes alone. `convention` takes

       macs    multiply-adds of convolutions and linear layers
       pool1   and 1 for each output of an average pool
       poolk2  and the window's size for each output of an average pool, in place of 1
       thop    pool1, and 4 for each output of a batch norm, 2 without gamma and beta

   as core/count.h has them. Dead operations count as a framework runs them. */
#include "scores/sizes.h"

enum { CONVENTION };
enum { MACS, POOL1, POOLK2, THOP };

static const char *const PARAMS[] = {"convention", NULL};

static void finish(zs_score_run *run, const zs_finish *f) {
    (void)f;
    zs_counts counts;
    if (!zs_sizes_of(run, &counts)) return;
    const int64_t by_convention[] = {
        [MACS] = counts.macs,
        [POOL1] = counts.thop_flops,
        [POOLK2] = counts.poolk2_flops,
        [THOP] = counts.thop_bn_flops,
    };
    run->value = (double)by_convention[(int)run->params[CONVENTION]];
}

const zs_score zs_score_flops = {
    .name = "flops",
    .params = PARAMS,
    .needs = zs_sizes_need,
    .finish = finish,
};
