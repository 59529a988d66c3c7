/* Fully connected layer at every position: a 1x1 convolution, so it uses the convolution's launches. */
#include "ops/conv2d.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (a->K < 1 || a->K > ZS_MAX_CLASSES)
        return zs_fail(err, ZS_EINVAL, "out_features: expected 1 to %d, got %d", ZS_MAX_CLASSES, a->K);
    *out = (zs_shape){a->K, in->H, in->W};
    return ZS_OK;
}

static int declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls) {
    int n = 0;
    decls[n++] = (zs_tensor_decl){ZS_ROLE_WEIGHT, 2, a->K, in->C, 1, 1, true};
    if (a->bias) decls[n++] = (zs_tensor_decl){ZS_ROLE_BIAS, 1, a->K, 1, 1, 1, false};
    return n;
}

const zs_op zs_op_linear = {
    .name = "linear",
    .arity = 1,
    .traits = ZS_READS_RELU | ZS_KEEPS_ZERO | ZS_BWD_READS_IN,
    .infer = infer,
    .declare = declare,
    .packed_bytes = zs_conv2d_packed_bytes,
    .pack = zs_conv2d_pack,
    .scratch_bytes = zs_conv2d_scratch_bytes,
    .forward = zs_conv2d_forward,
    .backward = zs_conv2d_backward,
    .fuses = zs_conv2d_fuses,
    .backward_weights = zs_conv2d_backward_weights,
};
