#include <stdio.h>

#include "spaces/blocks.h"
#include "spaces/mbconv.h"

const char *const zs_mbconv_acts[2] = {"relu6", "swish"};

/* --- squeeze ratios ---------------------------------------------------------------------------------------------- */

int zs_mbconv_read_ratio(zs_reader *r) {
    static const char EXPECTED[] = "a ratio above 0, at most 1, of at most 4 decimals";
    const size_t at = r->at;
    int ratio = zs_read_digit(r, 2, EXPECTED) * ZS_MBCONV_RATIO;
    if (ratio < 0) return -1;
    if (r->at < r->len && r->text[r->at] == '.') {
        r->at++;
        int unit = ZS_MBCONV_RATIO / 10;
        do {
            const int digit = unit ? zs_read_digit(r, 10, EXPECTED) : -1;
            if (digit < 0) return zs_read_fail(r, r->at, EXPECTED) == ZS_OK ? 0 : -1;
            ratio += digit * unit;
            unit /= 10;
        } while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9');
    }
    if (ratio >= 1 && ratio <= ZS_MBCONV_RATIO) return ratio;
    zs_read_fail(r, at, EXPECTED);
    return -1;
}

zs_mbconv_ratio zs_mbconv_ratio_text(int ratio) {
    zs_mbconv_ratio out = {"1"};
    if (ratio == ZS_MBCONV_RATIO) return out;
    int n_digits = 4;
    for (; ratio > 0 && ratio % 10 == 0; n_digits--) ratio /= 10;
    snprintf(out.text, sizeof out.text, "0.%0*d", n_digits, ratio % ZS_MBCONV_RATIO);
    return out;
}

/* --- network ----------------------------------------------------------------------------------------------------- */

typedef struct chain {
    zs_builder *b;
    const zs_mbconv_net *net;
} chain;

static int add_act(const chain *c, const char *name, int x) {
    return zs_add_simple(c->b, c->net->swish ? ZS_OP_SILU : ZS_OP_RELU6, name, x);
}

/* <prefix>.conv, <prefix>.bn and, where it is wanted, <prefix>.act */
static int add_layer(const chain *c, const char *prefix, int x, int K, int size, int stride, int groups, bool act) {
    zs_attrs bn = zs_attrs_default();
    bn.eps = c->net->eps;
    x = zs_add_window_conv(c->b, zs_named("%.40s.conv", prefix).text, x, K, zs_square(size, stride), groups, false);
    x = zs_builder_add(c->b, ZS_OP_BATCH_NORM, zs_named("%.40s.bn", prefix).text, 1, &x, NULL, &bn);
    return act ? add_act(c, zs_named("%.40s.act", prefix).text, x) : x;
}

static int add_biased_conv(const chain *c, const char *name, int x, int K) {
    return zs_add_window_conv(c->b, name, x, K, zs_square(1, 1), 1, true);
}

#define NAME(part) zs_named("block%02d." part, number).text

/* The share is rounded as the releases' int(ratio * channels), to one channel at least. */
static int add_squeeze(const chain *c, int number, int x, int ratio, int in_width) {
    const int K = zs_builder_shape(c->b, x).C;
    const int squeezed = (int)((double)ratio / (double)ZS_MBCONV_RATIO * in_width);
    int gate = zs_add_simple(c->b, ZS_OP_GLOBAL_AVG_POOL, NAME("se.pool"), x);
    gate = add_biased_conv(c, NAME("se.reduce"), gate, squeezed < 1 ? 1 : squeezed);
    gate = add_act(c, NAME("se.act"), gate);
    gate = add_biased_conv(c, NAME("se.expand"), gate, K);
    gate = zs_add_simple(c->b, ZS_OP_SIGMOID, NAME("se.gate"), gate);
    return zs_builder_add(c->b, ZS_OP_MULTIPLY, NAME("se.scale"), 2, (const int[]){x, gate}, NULL, NULL);
}

static int add_block(const chain *c, int number, const zs_mbconv *block, int x) {
    const int in_width = zs_builder_shape(c->b, x).C;
    int y = x, K = in_width;
    if (block->expansion > 0) {
        K *= block->expansion;
        y = add_layer(c, NAME("expand"), y, K, 1, 1, 1, true);
    }
    y = add_layer(c, NAME("depthwise"), y, K, block->kernel, block->stride, K, true);
    if (block->squeeze > 0) y = add_squeeze(c, number, y, block->squeeze, in_width);
    y = add_layer(c, NAME("project"), y, block->width, 1, 1, 1, false);
    if (!zs_mbconv_has_shortcut(block, in_width)) return y;
    return zs_add_sum(c->b, NAME("sum"), 2, (const int[]){x, y});
}
#undef NAME

zs_status zs_mbconv_build(const zs_mbconv_net *net, const zs_space *space, const zs_space_args *args, zs_graph **graph,
                          zs_error *err) {
    const zs_status st = zs_space_args_check(space, args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    const chain c = {b, net};
    int x = add_layer(&c, "stem", 0, net->stem, 3, 2, 1, true);
    zs_builder_set_feature(b, x);
    for (int i = 0; i < net->n && zs_builder_ok(b); i++) {
        if (net->blocks[i].kernel == 0) continue;
        x = add_block(&c, i, &net->blocks[i], x);
        zs_builder_set_feature(b, x);
    }
    x = add_layer(&c, "last", x, net->last, 1, 1, 1, true);
    x = zs_add_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}
