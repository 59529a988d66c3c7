/* The network of BurgerFormer.

       stem: conv 3x3 to 24, stride 2 | two of them, stride 1, the first one's output added | conv 3x3 to w1, stride 2
       stages of blocks, a conv 3x3 of stride 2 and a group norm between them | group norm, global pool, linear

   Convolutions of the stem but its last one have no bias, and batch norm and ReLU behind them; all others have a bias.
   In a block

       o_i = scale_i sub_i(o_{i-1}) + o_{i-1}

   a bread is its micro string's ops in their order; a meat is group norm, conv 1x1 to ratio w, GELU, its micro string's
   ops, conv 1x1 back to w. A bread without op passes what it gets. Group norms have one group; attention has 4 heads in
   stage 3, 8 in stage 4; the average pool has its input subtracted. Scales are per channel and start at 1e-5. */
#include <math.h>
#include <stdio.h>

#include "spaces/blocks.h"
#include "spaces/burgerformer.h"

#define LAYER_SCALE 1e-5
#define LAYER_NORM_EPS 1e-6

enum { STEM_WIDTH = 24 };

static const int HEADS[ZS_BURGER_STAGES] = {0, 0, 4, 8};

typedef struct sub_builder {
    zs_builder *b;
    char prefix[ZS_NAME_MAX]; /* stage, block and sub-block */
    int heads;
} sub_builder;

#define N(part) zs_named("%s." part, s->prefix).text

static int add_group_norm(zs_builder *b, const char *name, int x) {
    return zs_add_simple(b, ZS_OP_GROUP_NORM, name, x);
}

static int add_linear(zs_builder *b, const char *name, int x, int K, bool bias) {
    zs_attrs attrs = zs_attrs_default();
    attrs.K = K;
    attrs.bias = bias;
    return zs_builder_add(b, ZS_OP_LINEAR, name, 1, &x, NULL, &attrs);
}

/* --- ops of a micro string --------------------------------------------------------------------------------------- */

static int add_norm(const sub_builder *s, const char *name, int x, zs_burger_norm norm) {
    zs_attrs attrs = zs_attrs_default();
    switch (norm) {
    case ZS_BURGER_BN: return zs_add_bn(s->b, name, x);
    case ZS_BURGER_GN: return add_group_norm(s->b, name, x);
    case ZS_BURGER_LN:
        attrs.eps = LAYER_NORM_EPS;
        return zs_builder_add(s->b, ZS_OP_LAYER_NORM, name, 1, &x, NULL, &attrs);
    case ZS_BURGER_NO_NORM:
    case ZS_BURGER_NORMS: break;
    }
    return x;
}

static int add_act(const sub_builder *s, int x, zs_burger_act act) {
    static const zs_op_kind KINDS[ZS_BURGER_ACTS] = {
        [ZS_BURGER_RELU6] = ZS_OP_RELU6, [ZS_BURGER_GELU] = ZS_OP_GELU, [ZS_BURGER_SILU] = ZS_OP_SILU};
    return act == ZS_BURGER_NO_ACT ? x : zs_add_simple(s->b, KINDS[act], N("act4"), x);
}

static int add_attention(const sub_builder *s, int x) {
    const int C = zs_builder_shape(s->b, x).C;
    zs_attrs attrs = zs_attrs_default();
    attrs.K = C;
    const int qkv = add_linear(s->b, N("op2.qkv"), x, 3 * C, false);
    int part[3];
    for (int i = 0; i < 3; i++) {
        attrs.start = i * C;
        part[i] = zs_builder_add(s->b, ZS_OP_SLICE_CHANNELS, zs_named("%s.op2.%c", s->prefix, "qkv"[i]).text, 1, &qkv,
                                 NULL, &attrs);
    }
    attrs = zs_attrs_default();
    attrs.heads = attrs.groups = s->heads;
    attrs.transpose_b = true;
    attrs.scale = 1.0 / sqrt((double)C / s->heads);
    const int scores = zs_builder_add(s->b, ZS_OP_MATMUL, N("op2.scores"), 2, part, NULL, &attrs);
    const int shares = zs_builder_add(s->b, ZS_OP_SOFTMAX, N("op2.softmax"), 1, &scores, NULL, &attrs);
    attrs.transpose_b = false;
    attrs.scale = 1.0;
    x = zs_builder_add(s->b, ZS_OP_MATMUL, N("op2.mixed"), 2, (const int[]){shares, part[2]}, NULL, &attrs);
    return add_linear(s->b, N("op2.proj"), x, C, true);
}

static int add_spatial_mlp(const sub_builder *s, int x) {
    zs_attrs attrs = zs_attrs_default();
    attrs.bias = true;
    return zs_builder_add(s->b, ZS_OP_LINEAR_SPATIAL, N("op2"), 1, &x, NULL, &attrs);
}

static int add_op(const sub_builder *s, int x, zs_burger_op op) {
    const int C = zs_builder_shape(s->b, x).C;
    switch (op) {
    case ZS_BURGER_DWISE_3X3: return zs_add_window_conv(s->b, N("op2"), x, C, zs_square(3, 1), C, true);
    case ZS_BURGER_CONV_1X1: return zs_add_window_conv(s->b, N("op2"), x, C, zs_square(1, 1), 1, true);
    case ZS_BURGER_AVGPOOL: {
        const int pool = zs_add_avg_pool(s->b, N("op2.pool"), x, 3, 1, 1);
        return zs_builder_add(s->b, ZS_OP_ADD, N("op2"), 2, (const int[]){pool, x}, (const double[]){1.0, -1.0}, NULL);
    }
    case ZS_BURGER_SELF_ATTEN: return add_attention(s, x);
    case ZS_BURGER_SPATIAL_MLP: return add_spatial_mlp(s, x);
    case ZS_BURGER_SKIP:
    case ZS_BURGER_OPS: break;
    }
    return x;
}

static int add_micro(const sub_builder *s, int x, const zs_burger_sub *sub) {
    x = add_norm(s, N("norm1"), x, sub->norm1);
    x = add_op(s, x, sub->op);
    x = add_norm(s, N("norm3"), x, sub->norm3);
    return add_act(s, x, sub->act4);
}

/* --- blocks ------------------------------------------------------------------------------------------------------ */

/* Its two convolutions are made before what stands between them: two turns. */
static int add_meat(const sub_builder *s, int x, const zs_burger_sub *sub, int ratio, int turn) {
    const int w = zs_builder_shape(s->b, x).C;
    x = add_group_norm(s->b, N("norm"), x);
    x = zs_add_window_conv(s->b, N("expand"), x, ratio * w, zs_square(1, 1), 1, true);
    x = zs_add_simple(s->b, ZS_OP_GELU, N("gelu"), x);
    zs_builder_set_turn(s->b, turn + 1);
    x = add_micro(s, x, sub);
    zs_builder_set_turn(s->b, turn);
    x = zs_add_window_conv(s->b, N("shrink"), x, w, zs_square(1, 1), 1, true);
    zs_builder_set_turn(s->b, turn + 2);
    return x;
}

/* *turn is of the layers before the block, and then of those behind it. */
static int add_block(zs_builder *b, const zs_burger_stage *stage, int number, int block, int x, int *turn) {
    for (int j = 0; j < ZS_BURGER_SUBS; j++) {
        const zs_burger_sub *const sub = &stage->sub[j];
        const bool is_meat = j == 1;
        if (!is_meat && sub->op == ZS_BURGER_SKIP) continue;
        sub_builder builder = {.b = b, .heads = HEADS[number]}, *const s = &builder;
        snprintf(s->prefix, sizeof s->prefix, "stage%d.block%d.sub%d", number + 1, block + 1, j + 1);
        int y = is_meat ? add_meat(s, x, sub, stage->ratio, *turn) : add_micro(s, x, sub);
        *turn += is_meat ? 2 : 0;
        zs_attrs attrs = zs_attrs_default();
        attrs.initial = LAYER_SCALE;
        y = zs_builder_add(b, ZS_OP_SCALE_CHANNELS, N("scale"), 1, &y, NULL, &attrs);
        x = zs_add_sum(b, N("sum"), 2, (const int[]){y, x});
    }
    return x;
}

static int add_conv_bn_relu(zs_builder *b, int number, int x, int stride) {
    x = zs_add_conv(b, zs_named("stem.conv%d", number).text, x, STEM_WIDTH, 3, stride);
    x = zs_add_bn(b, zs_named("stem.bn%d", number).text, x);
    return zs_add_simple(b, ZS_OP_RELU, zs_named("stem.relu%d", number).text, x);
}

static int add_stem(zs_builder *b, int K) {
    const int x1 = add_conv_bn_relu(b, 1, 0, 2);
    const int x3 = add_conv_bn_relu(b, 3, add_conv_bn_relu(b, 2, x1, 1), 1);
    const int sum = zs_add_sum(b, "stem.sum", 2, (const int[]){x3, x1});
    return zs_add_window_conv(b, "stem.proj", sum, K, zs_square(3, 2), 1, true);
}

zs_status zs_burger_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_burgerformer, args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    zs_burger_stage stages[ZS_BURGER_STAGES];
    zs_burger_stages(genes, stages);
    int turn = 0;
    int x = add_stem(b, stages[0].width);
    zs_builder_set_feature(b, x);
    for (int i = 0; i < ZS_BURGER_STAGES; i++) {
        if (i > 0) {
            x = zs_add_window_conv(b, zs_named("down%d.conv", i).text, x, stages[i].width, zs_square(3, 2), 1, true);
            x = add_group_norm(b, zs_named("down%d.norm", i).text, x);
        }
        for (int j = 0; j < stages[i].depth; j++) {
            x = add_block(b, &stages[i], i, j, x, &turn);
            zs_builder_set_feature(b, x);
        }
    }
    x = add_group_norm(b, "head.norm", x);
    x = zs_add_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}
