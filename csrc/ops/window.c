/* Shape rule shared by convolution and pooling. */
#include "core/op.h"

zs_status zs_window_check(const zs_window *w, zs_error *err) {
    const struct {
        const char *name;
        int h, w, least;
    } fields[] = {
        {"kernel", w->R, w->S, 1},
        {"stride", w->stride_h, w->stride_w, 1},
        {"padding", w->pad_h, w->pad_w, 0},
        {"dilation", w->dil_h, w->dil_w, 1},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].h < fields[i].least || fields[i].w < fields[i].least || fields[i].h > 4096 || fields[i].w > 4096)
            return zs_fail(err, ZS_EINVAL, "%s: expected values from %d to 4096, got (%d, %d)", fields[i].name,
                           fields[i].least, fields[i].h, fields[i].w);
    return ZS_OK;
}

/* floor((H + 2p - d(k-1) - 1)/s) + 1, at least one output */
zs_status zs_window_infer(const zs_window *w, zs_shape in, int *P, int *Q, zs_error *err) {
    if (zs_window_check(w, err) != ZS_OK) return err->status;
    const int64_t span_h = (int64_t)w->dil_h * (w->R - 1) + 1, span_w = (int64_t)w->dil_w * (w->S - 1) + 1;
    const int64_t room_h = in.H + 2 * (int64_t)w->pad_h, room_w = in.W + 2 * (int64_t)w->pad_w;
    if (span_h > room_h || span_w > room_w)
        return zs_fail(err, ZS_EINVAL, "kernel: spans %lld x %lld, larger than the padded input of %lld x %lld",
                       (long long)span_h, (long long)span_w, (long long)room_h, (long long)room_w);
    *P = (int)((room_h - span_h) / w->stride_h) + 1;
    *Q = (int)((room_w - span_w) / w->stride_w) + 1;
    return ZS_OK;
}
