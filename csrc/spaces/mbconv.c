/* Chains of MBConv blocks whose text gives every block, in one of two notations. Networks: mbconv.h.

   ProxylessNAS's published networks: ReLU6, batch norms of eps 1e-3. A block is k<kernel>e<expansion>:<width>s<stride>,
   e1 without a convolution that expands, or skip, a layer that has been removed.

       stem=32;last=1280;k3e1:16s1 k5e3:32s2 k3e3:32s1 skip ... k7e6:320s1

   Strings of timm (r repeats, of which the first has the stride; ds is a block without a convolution that expands), as
   for networks that are trained anew with squeeze and excitation and Swish: batch norms of eps 1e-5. Stages are split
   by " | ". Written anew, a stage begins where the width changes or the stride is 2, and equal blocks are one of r > 1.

       stem=32;last=1280;act=swish;ds_r1_k3_s1_c16_se0.25 | ir_r1_k5_s2_e3_c24_se0.25,ir_r2_k3_s1_e6_c24_se0.25 | ...

   genes: 0 for the first notation, 1 for the second; stem; last; 1 for swish; blocks, at most 24; of each of 24 blocks
   kernel, expansion, width, stride, squeeze ratio as in zs_mbconv, all 0 for skip and behind the last. */
#include "spaces/mbconv.h"

#include <stdio.h>
#include <string.h>

enum { PUBLISHED, STRINGS }; /* notations */
enum { NOTATION, STEM, LAST, SWISH, N, FIRST_BLOCK, BLOCK_GENES = 5 };
enum { N_GENES = FIRST_BLOCK + BLOCK_GENES * ZS_MBCONV_BLOCKS };
enum { MAX_KERNEL = 15, MAX_EXPANSION = 16, MAX_STRIDE = 2 };

static zs_mbconv block_at(const int *genes, int i) {
    const int *g = genes + FIRST_BLOCK + BLOCK_GENES * i;
    return (zs_mbconv){.kernel = g[0], .expansion = g[1], .width = g[2], .stride = g[3], .squeeze = g[4]};
}

static void put_block(int *genes, int i, zs_mbconv block) {
    const int values[BLOCK_GENES] = {block.kernel, block.expansion, block.width, block.stride, block.squeeze};
    memcpy(genes + FIRST_BLOCK + BLOCK_GENES * i, values, sizeof values);
}

static bool is_equal(zs_mbconv a, zs_mbconv b) {
    return a.kernel == b.kernel && a.expansion == b.expansion && a.width == b.width && a.stride == b.stride &&
           a.squeeze == b.squeeze;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int read_number(zs_reader *r, const char *what, int min, int max) {
    return zs_read_number(r, min, max, zs_expected("%s, %d to %d", what, min, max).text);
}

/* What follows `literal`. */
static int read_field(zs_reader *r, const char *literal, const char *what, int min, int max) {
    const zs_expected_text expected = zs_expected("'%s' and %s", literal, what);
    return zs_read_literal(r, literal, expected.text) ? read_number(r, what, min, max) : -1;
}

static bool read_kernel(zs_reader *r, const char *literal, zs_mbconv *block) {
    const size_t at = r->at + strlen(literal);
    block->kernel = read_field(r, literal, "an odd kernel", 1, MAX_KERNEL);
    if (block->kernel < 0) return false;
    if (block->kernel % 2 == 0) zs_read_fail(r, at, "an odd kernel, 1 to 15");
    return block->kernel % 2 != 0;
}

static bool add_block(zs_reader *r, size_t at, int *genes, zs_mbconv block) {
    if (genes[N] == ZS_MBCONV_BLOCKS) return zs_read_fail(r, at, "at most 24 blocks") == ZS_OK;
    put_block(genes, genes[N]++, block);
    return true;
}

/* k5e3:32s2 or skip */
static bool read_published_block(zs_reader *r, int *genes) {
    const size_t at = r->at;
    zs_mbconv block = {0};
    if (zs_read_if(r, "skip")) return add_block(r, at, genes, block);
    if (!read_kernel(r, "k", &block)) return false;
    block.expansion = read_field(r, "e", "an expansion", 1, MAX_EXPANSION);
    if (block.expansion < 0) return false;
    block.width = read_field(r, ":", "a width", 1, ZS_MBCONV_WIDTH);
    if (block.width < 0) return false;
    block.stride = read_field(r, "s", "a stride", 1, MAX_STRIDE);
    if (block.stride < 0) return false;
    if (block.expansion == 1) block.expansion = 0;
    return add_block(r, at, genes, block);
}

static bool read_published(zs_reader *r, int *genes) {
    do
        if (!read_published_block(r, genes)) return false;
    while (r->at < r->len && zs_read_char(r, ' ', "' ' and the next block"));
    return r->err->status == ZS_OK;
}

/* ir_r1_k5_s2_e3_c24_se0.25 or ds_r1_k3_s1_c16 */
static bool read_string(zs_reader *r, int *genes) {
    const size_t at = r->at;
    const bool expands = zs_read_if(r, "ir");
    zs_mbconv block = {0};
    if (!expands && !zs_read_if(r, "ds")) return zs_read_fail(r, at, "a block string (ir_... or ds_...)") == ZS_OK;
    const int repeats = read_field(r, "_r", "a number of repeats", 1, ZS_MBCONV_BLOCKS);
    if (repeats < 0 || !read_kernel(r, "_k", &block)) return false;
    block.stride = read_field(r, "_s", "a stride", 1, MAX_STRIDE);
    if (block.stride < 0) return false;
    if (expands)
        block.expansion = read_field(r, "_e", "an expansion", 2, MAX_EXPANSION);
    else if (zs_read_if(r, "_e") && read_number(r, "an expansion, which ds has not", 1, 1) < 0)
        return false;
    if (block.expansion < 0) return false;
    block.width = read_field(r, "_c", "a width", 1, ZS_MBCONV_WIDTH);
    if (block.width < 0) return false;
    if (zs_read_if(r, "_se")) {
        block.squeeze = zs_mbconv_read_ratio(r);
        if (block.squeeze < 0) return false;
    }
    for (int i = 0; i < repeats; i++, block.stride = 1)
        if (!add_block(r, at, genes, block)) return false;
    return true;
}

static bool read_strings(zs_reader *r, int *genes) {
    while (read_string(r, genes)) {
        if (r->at == r->len) return true;
        if (r->text[r->at] == ' ' ? !zs_read_literal(r, " | ", "' | ' and the next stage")
                                  : !zs_read_char(r, ',', "',' and the next block, or ' | ' and the next stage"))
            return false;
    }
    return false;
}

static zs_status mbconv_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    memset(genes, 0, N_GENES * sizeof *genes);
    genes[STEM] = read_field(&r, "stem=", "a width", 1, ZS_MBCONV_WIDTH);
    if (genes[STEM] < 0) return err->status;
    genes[LAST] = read_field(&r, ";last=", "a width", 1, ZS_MBCONV_WIDTH);
    if (genes[LAST] < 0 || !zs_read_char(&r, ';', "';' and the blocks")) return err->status;
    if (zs_read_if(&r, "act=")) {
        genes[NOTATION] = STRINGS;
        genes[SWISH] = zs_read_word(&r, 2, zs_mbconv_acts, "an activation (relu6 or swish)");
        if (genes[SWISH] < 0 || !zs_read_char(&r, ';', "';' and the blocks")) return err->status;
    }
    return (genes[NOTATION] == STRINGS ? read_strings(&r, genes) : read_published(&r, genes)) ? ZS_OK : err->status;
}

/* --- genes from elsewhere, writing ------------------------------------------------------------------------------- */

typedef struct bound {
    const char *name;
    int value, min, max;
} bound;

static zs_status check_bounds(int n, const bound *bounds, const char *of, int number, zs_error *err) {
    for (int i = 0; i < n; i++)
        if (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max)
            return number < 0 ? zs_fail(err, ZS_EARCH, "%s: expected %d to %d, got %d", bounds[i].name, bounds[i].min,
                                        bounds[i].max, bounds[i].value)
                              : zs_fail(err, ZS_EARCH, "%s %d: %s: expected %d to %d, got %d", of, number,
                                        bounds[i].name, bounds[i].min, bounds[i].max, bounds[i].value);
    return ZS_OK;
}

static zs_status check_block(const int *genes, int i, zs_error *err) {
    const zs_mbconv block = block_at(genes, i);
    if (is_equal(block, (zs_mbconv){0}) && (i >= genes[N] || genes[NOTATION] == PUBLISHED)) return ZS_OK;
    if (i >= genes[N]) return zs_fail(err, ZS_EARCH, "block %d: expected zeros, as there are %d blocks", i, genes[N]);
    const bound bounds[] = {
        {"kernel", block.kernel, 1, MAX_KERNEL},
        {"expansion", block.expansion, 0, MAX_EXPANSION},
        {"width", block.width, 1, ZS_MBCONV_WIDTH},
        {"stride", block.stride, 1, MAX_STRIDE},
        {"squeeze ratio", block.squeeze, 0, genes[NOTATION] == STRINGS ? ZS_MBCONV_RATIO : 0},
    };
    if (check_bounds(BLOCK_GENES, bounds, "block", i, err) != ZS_OK) return err->status;
    if (block.kernel % 2 == 0)
        return zs_fail(err, ZS_EARCH, "block %d: kernel: expected an odd one, got %d", i, block.kernel);
    if (block.expansion == 1)
        return zs_fail(err, ZS_EARCH, "block %d: expansion: expected 0 where none is made, or 2 to %d, got 1", i,
                       MAX_EXPANSION);
    return ZS_OK;
}

static zs_status mbconv_check(const int *genes, zs_error *err) {
    const bool strings = genes[NOTATION] == STRINGS;
    const bound bounds[] = {{"notation", genes[NOTATION], PUBLISHED, STRINGS},
                            {"stem", genes[STEM], 1, ZS_MBCONV_WIDTH},
                            {"last", genes[LAST], 1, ZS_MBCONV_WIDTH},
                            {"swish", genes[SWISH], 0, strings},
                            {"blocks", genes[N], 1, ZS_MBCONV_BLOCKS}};
    if (check_bounds((int)(sizeof bounds / sizeof bounds[0]), bounds, NULL, -1, err) != ZS_OK) return err->status;
    for (int i = 0; i < ZS_MBCONV_BLOCKS; i++)
        if (check_block(genes, i, err) != ZS_OK) return err->status;
    return ZS_OK;
}

static size_t format_string(const int *genes, int i, int repeats, char *out, size_t room) {
    const zs_mbconv block = block_at(genes, i);
    char expansion[16] = "", squeeze[16] = "";
    if (block.expansion) snprintf(expansion, sizeof expansion, "_e%d", block.expansion);
    if (block.squeeze) snprintf(squeeze, sizeof squeeze, "_se%s", zs_mbconv_ratio_text(block.squeeze).text);
    return (size_t)snprintf(out, room, "%s_r%d_k%d_s%d%s_c%d%s", block.expansion ? "ir" : "ds", repeats, block.kernel,
                            block.stride, expansion, block.width, squeeze);
}

static size_t format_strings(const int *genes, char *out, size_t room) {
    size_t at = 0;
    for (int i = 0, repeats; i < genes[N]; i += repeats) {
        zs_mbconv block = block_at(genes, i);
        const char *const separator = i == 0                                                            ? ""
                                      : block.stride > 1 || block.width != block_at(genes, i - 1).width ? " | "
                                                                                                        : ",";
        at += (size_t)snprintf(out + at, room - at, "%s", separator);
        block.stride = 1;
        for (repeats = 1; i + repeats < genes[N] && is_equal(block_at(genes, i + repeats), block);) repeats++;
        at += format_string(genes, i, repeats, out + at, room - at);
    }
    return at;
}

static void mbconv_format(const int *genes, char *out) {
    const size_t room = ZS_MAX_ARCH_TEXT;
    size_t at = (size_t)snprintf(out, room, "stem=%d;last=%d;", genes[STEM], genes[LAST]);
    if (genes[NOTATION] == STRINGS) {
        at += (size_t)snprintf(out + at, room - at, "act=%s;", zs_mbconv_acts[genes[SWISH]]);
        at += format_strings(genes, out + at, room - at);
        ZS_ASSERT(at < room);
        return;
    }
    for (int i = 0; i < genes[N]; i++) {
        const zs_mbconv block = block_at(genes, i);
        if (i > 0) at += (size_t)snprintf(out + at, room - at, " ");
        at += block.kernel == 0 ? (size_t)snprintf(out + at, room - at, "skip")
                                : (size_t)snprintf(out + at, room - at, "k%de%d:%ds%d", block.kernel,
                                                   block.expansion ? block.expansion : 1, block.width, block.stride);
    }
    ZS_ASSERT(at < room);
}

/* --- network ----------------------------------------------------------------------------------------------------- */

static zs_status mbconv_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    zs_mbconv_net net = {.stem = genes[STEM],
                         .last = genes[LAST],
                         .swish = genes[SWISH],
                         .eps = genes[NOTATION] == STRINGS ? 1e-5 : 1e-3,
                         .n = genes[N]};
    for (int i = 0; i < net.n; i++) net.blocks[i] = block_at(genes, i);
    return zs_mbconv_build(&net, &zs_space_mbconv, args, graph, err);
}

const zs_space zs_space_mbconv = {
    .name = "mbconv",
    .n_genes = N_GENES,
    .channels = 0,
    .cells = 0,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = mbconv_parse,
    .check = mbconv_check,
    .format = mbconv_format,
    .build = mbconv_build,
};
