/* x[:, start : start + K]: a view, in both directions. */
#include "core/op.h"

static zs_status infer(const zs_attrs *a, int n_in, const zs_shape *in, zs_shape *out, zs_error *err) {
    (void)n_in;
    if (a->start < 0 || a->start >= in->C)
        return zs_fail(err, ZS_EINVAL, "start: expected 0 to %d, got %d", in->C - 1, a->start);
    if (a->K < 1 || a->K > in->C - a->start)
        return zs_fail(err, ZS_EINVAL, "channels: expected 1 to the %d of the input%s, got %d", in->C - a->start,
                       a->start > 0 ? " from start on" : "", a->K);
    *out = (zs_shape){a->K, in->H, in->W};
    return ZS_OK;
}

const zs_op zs_op_slice_channels = {.name = "slice_channels", .arity = 1, .traits = ZS_KEEPS_ZERO, .infer = infer};
