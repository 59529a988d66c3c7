/* Layer normalisation (Ba, Kiros and Hinton, 2016) over the channels of each position, by mean and biased variance,
   then gamma and beta by channel. */
#include "ops/sample_norm.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    *out = *in;
    return zs_sample_norm_check(a, err);
}

const zs_op zs_op_layer_norm = {
    .name = "layer_norm",
    .arity = 1,
    .traits = ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = zs_sample_norm_declare,
    .scratch_bytes = zs_sample_norm_scratch_bytes,
    .forward = zs_sample_norm_forward,
    .backward = zs_sample_norm_backward,
    .backward_weights = zs_sample_norm_backward_weights,
};
