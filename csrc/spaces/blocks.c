#include "spaces/blocks.h"

#include <stdarg.h>
#include <stdio.h>

zs_node_name zs_named(const char *format, ...) {
    zs_node_name n;
    va_list args;
    va_start(args, format);
    vsnprintf(n.text, sizeof n.text, format, args);
    va_end(args);
    return n;
}

zs_window zs_square(int size, int stride) { return (zs_window){size, size, stride, stride, size / 2, size / 2, 1, 1}; }

int zs_add_window_conv(zs_builder *b, const char *name, int x, int K, zs_window window, int groups, bool bias) {
    zs_attrs attrs = zs_attrs_default();
    attrs.K = K;
    attrs.window = window;
    attrs.groups = groups;
    attrs.bias = bias;
    return zs_builder_add(b, ZS_OP_CONV2D, name, 1, &x, NULL, &attrs);
}

static int add_pool(zs_builder *b, zs_op_kind op, const char *name, int x, int size, int stride, int pad) {
    zs_attrs attrs = zs_attrs_default();
    attrs.window = (zs_window){size, size, stride, stride, pad, pad, 1, 1};
    attrs.count_include_pad = false;
    return zs_builder_add(b, op, name, 1, &x, NULL, &attrs);
}

int zs_add_avg_pool(zs_builder *b, const char *name, int x, int size, int stride, int pad) {
    return add_pool(b, ZS_OP_AVG_POOL, name, x, size, stride, pad);
}

int zs_add_max_pool(zs_builder *b, const char *name, int x, int size, int stride, int pad) {
    return add_pool(b, ZS_OP_MAX_POOL, name, x, size, stride, pad);
}

static int add_relu_conv_bn(zs_builder *b, const char *relu, const char *conv, const char *bn, int x, int K, int size,
                            int stride, bool bn_stays) {
    zs_attrs attrs = zs_attrs_default();
    attrs.bn_stays = bn_stays;
    x = zs_add_simple(b, ZS_OP_RELU, relu, x);
    x = zs_add_conv(b, conv, x, K, size, stride);
    return zs_builder_add(b, ZS_OP_BATCH_NORM, bn, 1, &x, NULL, &attrs);
}

int zs_add_relu_conv_bn(zs_builder *b, const char *relu, const char *conv, const char *bn, int x, int K, int size,
                        int stride) {
    return add_relu_conv_bn(b, relu, conv, bn, x, K, size, stride, false);
}

int zs_add_residual(zs_builder *b, int number, int x, int K, bool bn_stays) {
#define N(part) zs_named("res%d." part, number).text
    const int half = add_relu_conv_bn(b, N("relu_a"), N("conv_a"), N("bn_a"), x, K, 3, 2, bn_stays);
    const int body = add_relu_conv_bn(b, N("relu_b"), N("conv_b"), N("bn_b"), half, K, 3, 1, bn_stays);
    const int pool = zs_add_avg_pool(b, N("pool"), x, 2, 2, 0);
    const int shortcut = zs_add_conv(b, N("down"), pool, K, 1, 1);
    return zs_add_sum(b, N("sum"), 2, (const int[]){shortcut, body});
#undef N
}

zs_status zs_residual_input_check(const zs_space_args *args, zs_error *err) {
    if (args->input.H % 4 != 0 || args->input.W % 4 != 0)
        return zs_fail(err, ZS_EINVAL, "input size: expected multiples of 4 (it is halved twice), got %d x %d",
                       args->input.H, args->input.W);
    return ZS_OK;
}

int zs_add_head(zs_builder *b, int x, int num_classes) {
    x = zs_add_simple(b, ZS_OP_GLOBAL_AVG_POOL, "head.pool", x);
    zs_attrs fc = zs_attrs_default();
    fc.K = num_classes;
    fc.bias = true;
    return zs_builder_add(b, ZS_OP_LINEAR, "head.fc", 1, &x, NULL, &fc);
}

int zs_add_bn_relu_head(zs_builder *b, int x, int num_classes) {
    x = zs_add_bn(b, "head.bn", x);
    x = zs_add_simple(b, ZS_OP_RELU, "head.relu", x);
    return zs_add_head(b, x, num_classes);
}
