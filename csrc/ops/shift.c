/* x[:, :, 1:, 1:], the shifted slice of FactorizedReduce: a view, in both directions. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)a, (void)n_in;
    if (in->H < 2 || in->W < 2)
        return zs_fail(err, ZS_EINVAL, "input: expected at least 2 x 2 pixels, got %d x %d", in->H, in->W);
    *out = (zs_shape){in->C, in->H - 1, in->W - 1};
    return ZS_OK;
}

const zs_op zs_op_shift = {.name = "shift", .arity = 1, .traits = ZS_KEEPS_ZERO, .infer = infer};
