/* The chain of ProxylessNAS (Cai, Zhu and Han, ICLR 2019): a kernel and an expansion for each block of a skeleton.

       skeleton=19;act=relu6;se=none;k3e3 k5e6 ... k7e3

   A choice is k3e3, k3e6, k5e3, k5e6, k7e3, k7e6 or, where the block has a shortcut, skip, which removes it. Any of the
   three fields may be left out: the skeleton is then 19 or 21, as there are choices. se: the ratio of squeeze and
   excitation, as 0.25, in the first block, too.

   genes: skeleton; 1 for swish; squeeze ratio in 1/10000; 21 choices, from 1 on in the order above, 0 behind the last.

   Networks: mbconv.h. Behind the stem there is one more block, k3 and without expansion; then the stages, whose first
   block has the stride:

       19       stem 32, first 16, last 1280    32x2 s2, 40x4 s2, 80x4 s2, 96x4 s1, 192x4 s2, 320x1 s1   (FairNAS)
       21       stem 32, first 16, last 1280    24x4 s2, 40x4 s2, 80x4 s2, 96x4 s1, 192x4 s2, 320x1 s1   (the release's)
       21wide   stem 40, first 24, last 1728    32x4 s2, 56x4 s2, 112x4 s2, 128x4 s1, 256x4 s2, 432x1 s1 (Proxyless-GPU)

   The eps of batch norms is 1e-3 as in the release, and with swish 1e-5, as where such networks are trained anew. */
#include <stdio.h>

#include "spaces/mbconv.h"

enum { N_SKELETONS = 3, N_STAGES = 6, MAX_LAYERS = 21, N_BLOCKS = 6, N_CHOICES = N_BLOCKS + 1, SKIP = N_CHOICES };
enum { SKELETON, SWISH, SQUEEZE, FIRST_CHOICE, N_GENES = FIRST_CHOICE + MAX_LAYERS };

static const char *const CHOICES[N_CHOICES] = {"k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "skip"};
static const char ONE_CHOICE[] = "a block (k3e3, k3e6, k5e3, k5e6, k7e3 or k7e6) or skip";
static const char ONE_BLOCK[] = "a block (k3e3, k3e6, k5e3, k5e6, k7e3 or k7e6), as no skip may stand first in a stage";

static const char *const SKELETON_NAMES[N_SKELETONS] = {"19", "21", "21wide"};

typedef struct stage {
    int width, n, stride;
} stage;

static const struct skeleton {
    int stem, first, last, n;
    stage stages[N_STAGES];
} SKELETONS[N_SKELETONS] = {
    {32, 16, 1280, 19, {{32, 2, 2}, {40, 4, 2}, {80, 4, 2}, {96, 4, 1}, {192, 4, 2}, {320, 1, 1}}},
    {32, 16, 1280, 21, {{24, 4, 2}, {40, 4, 2}, {80, 4, 2}, {96, 4, 1}, {192, 4, 2}, {320, 1, 1}}},
    {40, 24, 1728, 21, {{32, 4, 2}, {56, 4, 2}, {112, 4, 2}, {128, 4, 1}, {256, 4, 2}, {432, 1, 1}}},
};

/* Of every skeleton's stages the first block changes the width, and no other does. */
static bool begins_stage(const struct skeleton *s, int layer) {
    int first = 0;
    for (int i = 0; i < N_STAGES && first < layer; i++) first += s->stages[i].n;
    return first == layer;
}

/* --- text -------------------------------------------------------------------------------------------------------- */

/* skeleton=..;act=..;se=..; each may be missing; *skeleton is -1 then. */
static bool read_fields(zs_reader *r, int *skeleton, int *genes) {
    *skeleton = -1;
    genes[SWISH] = genes[SQUEEZE] = 0;
    if (zs_read_if(r, "skeleton=")) {
        *skeleton = zs_read_word(r, N_SKELETONS, SKELETON_NAMES, "a skeleton (19, 21 or 21wide)");
        if (*skeleton < 0 || !zs_read_char(r, ';', "';' after the skeleton")) return false;
    }
    if (zs_read_if(r, "act=")) {
        genes[SWISH] = zs_read_word(r, 2, zs_mbconv_acts, "an activation (relu6 or swish)");
        if (genes[SWISH] < 0 || !zs_read_char(r, ';', "';' after the activation")) return false;
    }
    if (zs_read_if(r, "se=")) {
        if (!zs_read_if(r, "none")) genes[SQUEEZE] = zs_mbconv_read_ratio(r);
        if (genes[SQUEEZE] < 0 || !zs_read_char(r, ';', "';' after the squeeze ratio")) return false;
    }
    return true;
}

static int skeleton_of(int n) {
    for (int s = 0; s < N_SKELETONS; s++)
        if (SKELETONS[s].n == n) return s;
    return -1;
}

static zs_status proxylessnas_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    int skeleton, n = 0;
    size_t at[MAX_LAYERS];
    if (!read_fields(&r, &skeleton, genes)) return err->status;
    const int most = skeleton < 0 ? MAX_LAYERS : SKELETONS[skeleton].n;
    do {
        at[n] = r.at;
        const int choice = zs_read_word(&r, N_CHOICES, CHOICES, ONE_CHOICE);
        if (choice < 0) return err->status;
        genes[FIRST_CHOICE + n++] = choice + 1;
    } while (n < most && r.at < r.len && zs_read_char(&r, ' ', "' ' and the next choice"));
    if (err->status != ZS_OK) return err->status;
    if (skeleton < 0) skeleton = skeleton_of(n);
    if (skeleton < 0)
        return zs_read_fail(&r, r.at, zs_expected("' ' and more choices (%d so far, of 19 or 21)", n).text);
    const int wanted = SKELETONS[skeleton].n;
    if (n < wanted)
        return zs_read_fail(&r, r.at, zs_expected("' ' and more choices (%d so far, of %d)", n, wanted).text);
    if (!zs_read_end(&r)) return err->status;
    for (int i = 0; i < n; i++)
        if (genes[FIRST_CHOICE + i] == SKIP && begins_stage(&SKELETONS[skeleton], i))
            return zs_read_fail(&r, at[i], ONE_BLOCK);
    for (int i = n; i < MAX_LAYERS; i++) genes[FIRST_CHOICE + i] = 0;
    genes[SKELETON] = skeleton;
    return ZS_OK;
}

static zs_status proxylessnas_check(const int *genes, zs_error *err) {
    const struct {
        const char *name;
        int value, max;
    } fields[] = {{"skeleton", genes[SKELETON], N_SKELETONS - 1},
                  {"swish", genes[SWISH], 1},
                  {"squeeze ratio", genes[SQUEEZE], ZS_MBCONV_RATIO}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value < 0 || fields[i].value > fields[i].max)
            return zs_fail(err, ZS_EARCH, "%s: expected 0 to %d, got %d", fields[i].name, fields[i].max,
                           fields[i].value);
    const struct skeleton *s = &SKELETONS[genes[SKELETON]];
    for (int i = 0; i < MAX_LAYERS; i++) {
        const int least = i < s->n ? 1 : 0, most = i >= s->n ? 0 : begins_stage(s, i) ? N_BLOCKS : N_CHOICES;
        if (genes[FIRST_CHOICE + i] < least || genes[FIRST_CHOICE + i] > most)
            return zs_fail(err, ZS_EARCH, "choice %d: expected %d to %d, got %d", i, least, most,
                           genes[FIRST_CHOICE + i]);
    }
    return ZS_OK;
}

static void proxylessnas_format(const int *genes, char *out) {
    const zs_mbconv_ratio ratio = zs_mbconv_ratio_text(genes[SQUEEZE]);
    size_t at = (size_t)snprintf(out, ZS_MAX_ARCH_TEXT, "skeleton=%s;act=%s;se=%s;", SKELETON_NAMES[genes[SKELETON]],
                                 zs_mbconv_acts[genes[SWISH]], genes[SQUEEZE] ? ratio.text : "none");
    for (int i = 0; i < SKELETONS[genes[SKELETON]].n; i++)
        at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, "%s%s", i ? " " : "",
                               CHOICES[genes[FIRST_CHOICE + i] - 1]);
}

/* --- network ----------------------------------------------------------------------------------------------------- */

static zs_mbconv block_of(int choice, const stage *s, bool first, int squeeze) {
    const int number = choice - 1; /* kernels 3, 5, 7; of each expansion 3 before 6 */
    if (choice == SKIP) return (zs_mbconv){.width = s->width, .stride = 1};
    return (zs_mbconv){.kernel = 3 + 2 * (number / 2),
                       .expansion = 3 + 3 * (number % 2),
                       .width = s->width,
                       .stride = first ? s->stride : 1,
                       .squeeze = squeeze};
}

static zs_status proxylessnas_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const struct skeleton *s = &SKELETONS[genes[SKELETON]];
    zs_mbconv_net net = {.stem = s->stem, .last = s->last, .swish = genes[SWISH]};
    net.eps = net.swish ? 1e-5 : 1e-3;
    net.blocks[net.n++] = (zs_mbconv){.kernel = 3, .width = s->first, .stride = 1, .squeeze = genes[SQUEEZE]};
    for (int i = 0; i < N_STAGES; i++)
        for (int j = 0; j < s->stages[i].n; j++, net.n++)
            net.blocks[net.n] = block_of(genes[FIRST_CHOICE + net.n - 1], &s->stages[i], j == 0, genes[SQUEEZE]);
    return zs_mbconv_build(&net, &zs_space_proxylessnas, args, graph, err);
}

const zs_space zs_space_proxylessnas = {
    .name = "proxylessnas",
    .n_genes = N_GENES,
    .channels = 0,
    .cells = 0,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = proxylessnas_parse,
    .check = proxylessnas_check,
    .format = proxylessnas_format,
    .build = proxylessnas_build,
};
