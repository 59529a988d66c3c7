/* The space of BurgerFormer (Yang et al., "Searching for BurgerFormer with Micro-Meso-Macro Space Design", ICML 2022):
   four stages, each of `depth` equal blocks of three sub-blocks, bread, meat and bread.

       2,32,4:skip-GN-dwise_3x3-skip-gelu/skip-skip-skip-skip-skip/skip-skip-avgpool-LN-silu:1,1,1:1,1,1 ; ...

   depth,width,ratio : act0-norm1-op2-norm3-act4 of the sub-blocks : residuals 0->1, 1->2, 2->3 : layer scales. Where
   the op is skip, so is everything; else one of the two norms is. A bread without op has neither residual nor layer
   scale, all others have both, so that a path of residuals goes through every block.

   genes, for each stage: depth; width; ratio; the numbers of the three micro strings: 0 where all is skip, else
   1 + ((op 6 + place of the norm 3 + norm) 4 + act), each counted from 0 without skip but act, where skip is 0. */
#include "spaces/burgerformer.h"

#include <stdio.h>

enum {
    STAGE_GENES = 3 + ZS_BURGER_SUBS,
    REAL_NORMS = ZS_BURGER_NORMS - 1,
    OP_MICROS = 2 * REAL_NORMS * ZS_BURGER_ACTS
};

static const char *const OPS[ZS_BURGER_OPS] = {"skip", "dwise_3x3", "conv_1x1", "avgpool", "self_atten", "spatial_mlp"};
static const char *const NORMS[ZS_BURGER_NORMS] = {"skip", "BN", "GN", "LN"};
static const char *const ACTS[ZS_BURGER_ACTS] = {"skip", "relu6", "gelu", "silu"};

/* The numbers that a field of a stage may be. */
typedef struct choices {
    const char *name;
    int n;
    int value[8];
    const char *text[8], *listed;
} choices;

#define UP_TO_4 {1, 2, 3, 4}, {"1", "2", "3", "4"}, "1, 2, 3 or 4"
#define UP_TO_8 {1, 2, 3, 4, 5, 6, 7, 8}, {"1", "2", "3", "4", "5", "6", "7", "8"}, "1 to 8"
#define RATIOS {"ratio", 4, {1, 2, 4, 6}, {"1", "2", "4", "6"}, "1, 2, 4 or 6"}

static const choices MACROS[ZS_BURGER_STAGES][3] = {
    {{"depth", 4, UP_TO_4}, {"width", 3, {32, 64, 96}, {"32", "64", "96"}, "32, 64 or 96"}, RATIOS},
    {{"depth", 4, UP_TO_4}, {"width", 3, {64, 96, 128}, {"64", "96", "128"}, "64, 96 or 128"}, RATIOS},
    {{"depth", 8, UP_TO_8},
     {"width", 4, {128, 192, 256, 320}, {"128", "192", "256", "320"}, "128, 192, 256 or 320"},
     RATIOS},
    {{"depth", 4, UP_TO_4},
     {"width", 4, {128, 256, 384, 512}, {"128", "256", "384", "512"}, "128, 256, 384 or 512"},
     RATIOS},
};

static bool is_meat(int sub) { return sub == 1; }

static int n_ops(int stage, int sub) {
    return is_meat(sub) ? ZS_BURGER_CONV_1X1 : stage < 2 ? ZS_BURGER_SELF_ATTEN : ZS_BURGER_OPS;
}

static int n_micros(int stage, int sub) { return 1 + (n_ops(stage, sub) - 1) * OP_MICROS; }

static int micro_of(const zs_burger_sub *s) {
    if (s->op == ZS_BURGER_SKIP) return 0;
    const int place = s->norm1 == ZS_BURGER_NO_NORM, norm = (int)(place ? s->norm3 : s->norm1) - 1;
    return 1 + ((((int)s->op - 1) * 2 + place) * REAL_NORMS + norm) * ZS_BURGER_ACTS + (int)s->act4;
}

static zs_burger_sub sub_of(int micro) {
    zs_burger_sub s = {ZS_BURGER_SKIP, ZS_BURGER_NO_NORM, ZS_BURGER_NO_NORM, ZS_BURGER_NO_ACT};
    if (micro == 0) return s;
    int rest = micro - 1;
    s.act4 = (zs_burger_act)(rest % ZS_BURGER_ACTS);
    rest /= ZS_BURGER_ACTS;
    const zs_burger_norm norm = (zs_burger_norm)(1 + rest % REAL_NORMS);
    rest /= REAL_NORMS;
    *(rest % 2 ? &s.norm3 : &s.norm1) = norm;
    s.op = (zs_burger_op)(1 + rest / 2);
    return s;
}

void zs_burger_stages(const int *genes, zs_burger_stage stages[ZS_BURGER_STAGES]) {
    for (int i = 0; i < ZS_BURGER_STAGES; i++, genes += STAGE_GENES) {
        stages[i] = (zs_burger_stage){.depth = genes[0], .width = genes[1], .ratio = genes[2]};
        for (int j = 0; j < ZS_BURGER_SUBS; j++) stages[i].sub[j] = sub_of(genes[3 + j]);
    }
}

/* Residual and layer scale of a sub-block go with its op. */
static bool is_passed(int sub, int micro) { return !is_meat(sub) && micro == 0; }

/* --- text -------------------------------------------------------------------------------------------------------- */

/* Messages count stages and sub-blocks from 1, and are put together when one is needed, but for words. */
static bool took(zs_reader *r, char c) {
    const bool is_next = r->at < r->len && r->text[r->at] == c;
    r->at += is_next;
    return is_next;
}

static bool fails(zs_reader *r, size_t at, zs_expected_text w) { return zs_read_fail(r, at, w.text) == ZS_OK; }

static bool read_macro(zs_reader *r, int stage, int *genes) {
    for (int i = 0; i < 3; i++) {
        const choices *const c = &MACROS[stage][i];
        if (i > 0 && !took(r, ','))
            return fails(r, r->at, zs_expected("',' and the %s of stage %d", c->name, stage + 1));
        const zs_expected_text w = zs_expected("the %s of stage %d (%s)", c->name, stage + 1, c->listed);
        const int at = zs_read_word(r, c->n, c->text, w.text);
        if (at < 0) return false;
        genes[i] = c->value[at];
    }
    return true;
}

static const char *ops_listed(int stage, int sub) {
    return is_meat(sub) ? "skip or dwise_3x3"
           : stage < 2  ? "skip, dwise_3x3, conv_1x1 or avgpool"
                        : "skip, dwise_3x3, conv_1x1, avgpool, self_atten or spatial_mlp";
}

static bool read_micro(zs_reader *r, int stage, int sub, int *micro) {
    enum { ACT0, NORM1, OP2, NORM3, ACT4, N_FIELDS };
    const struct {
        const char *name;
        int n;
        const char *const *words, *listed;
    } fields[N_FIELDS] = {
        {"act0", 1, ACTS, "skip"},
        {"norm1", ZS_BURGER_NORMS, NORMS, "skip, BN, GN or LN"},
        {"op2", n_ops(stage, sub), OPS, ops_listed(stage, sub)},
        {"norm3", ZS_BURGER_NORMS, NORMS, "skip, BN, GN or LN"},
        {"act4", ZS_BURGER_ACTS, ACTS, "skip, relu6, gelu or silu"},
    };
    int value[N_FIELDS];
    size_t at[N_FIELDS];
    for (int i = 0; i < N_FIELDS; i++) {
        const char *const name = fields[i].name;
        if (i > 0 && !took(r, '-'))
            return fails(r, r->at, zs_expected("'-' and the %s of sub-block %d of stage %d", name, sub + 1, stage + 1));
        at[i] = r->at;
        const zs_expected_text w =
            zs_expected("the %s of sub-block %d of stage %d (%s)", name, sub + 1, stage + 1, fields[i].listed);
        value[i] = zs_read_word(r, fields[i].n, fields[i].words, w.text);
        if (value[i] < 0) return false;
    }
    const bool is_skip = value[OP2] == ZS_BURGER_SKIP;
    for (int i = NORM1; is_skip && i < N_FIELDS; i++)
        if (value[i] != 0)
            return fails(r, at[i],
                         zs_expected("skip as the %s of sub-block %d of stage %d, whose op2 is skip", fields[i].name,
                                     sub + 1, stage + 1));
    if (!is_skip && (value[NORM1] == 0) == (value[NORM3] == 0))
        return fails(r, at[NORM3],
                     zs_expected("%s as the norm3 of sub-block %d of stage %d, whose norm1 is %s",
                                 value[NORM1] ? "skip" : "BN, GN or LN", sub + 1, stage + 1, NORMS[value[NORM1]]));
    const zs_burger_sub s = {(zs_burger_op)value[OP2], (zs_burger_norm)value[NORM1], (zs_burger_norm)value[NORM3],
                             (zs_burger_act)value[ACT4]};
    *micro = micro_of(&s);
    return true;
}

/* Three flags that micro strings have fixed: residuals or layer scales. */
static bool read_flags(zs_reader *r, int stage, const char *what, const int *micros) {
    for (int j = 0; j < ZS_BURGER_SUBS; j++) {
        const char flag = is_passed(j, micros[j]) ? '0' : '1';
        const char *const why = flag == '0' ? "whose op2 is skip" : is_meat(j) ? "which is meat" : "which has an op2";
        if (j > 0 && !took(r, ','))
            return fails(r, r->at, zs_expected("',' and the %s of sub-block %d of stage %d", what, j + 1, stage + 1));
        if (!took(r, flag))
            return fails(
                r, r->at,
                zs_expected("%c as the %s of sub-block %d of stage %d, %s", flag, what, j + 1, stage + 1, why));
    }
    return true;
}

static bool read_stage(zs_reader *r, int stage, int *genes) {
    if (!read_macro(r, stage, genes)) return false;
    int *const micros = genes + 3;
    for (int j = 0; j < ZS_BURGER_SUBS; j++) {
        const char c = j ? '/' : ':';
        if (!took(r, c)) return fails(r, r->at, zs_expected("'%c' and sub-block %d of stage %d", c, j + 1, stage + 1));
        if (!read_micro(r, stage, j, &micros[j])) return false;
    }
    static const char *const FLAGS[2] = {"residual", "layer scale"};
    for (int i = 0; i < 2; i++) {
        if (!took(r, ':')) return fails(r, r->at, zs_expected("':' and the %ss of stage %d", FLAGS[i], stage + 1));
        if (!read_flags(r, stage, FLAGS[i], micros)) return false;
    }
    return true;
}

static zs_status burgerformer_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    for (int i = 0; i < ZS_BURGER_STAGES; i++) {
        if (i > 0 && !zs_read_literal(&r, " ; ", zs_expected("' ; ' and stage %d of 4", i + 1).text))
            return err->status;
        if (!read_stage(&r, i, genes + i * STAGE_GENES)) return err->status;
    }
    return zs_read_end(&r) ? ZS_OK : err->status;
}

static zs_status burgerformer_check(const int *genes, zs_error *err) {
    for (int i = 0; i < ZS_BURGER_STAGES; i++, genes += STAGE_GENES) {
        for (int j = 0; j < 3; j++) {
            const choices *const c = &MACROS[i][j];
            bool known = false;
            for (int k = 0; k < c->n; k++) known |= genes[j] == c->value[k];
            if (!known)
                return zs_fail(err, ZS_EARCH, "%s of stage %d: expected %s, got %d", c->name, i + 1, c->listed,
                               genes[j]);
        }
        for (int j = 0; j < ZS_BURGER_SUBS; j++)
            if (genes[3 + j] < 0 || genes[3 + j] >= n_micros(i, j))
                return zs_fail(err, ZS_EARCH, "sub-block %d of stage %d: expected 0 to %d, got %d", j + 1, i + 1,
                               n_micros(i, j) - 1, genes[3 + j]);
    }
    return ZS_OK;
}

static void burgerformer_format(const int *genes, char *out) {
    size_t at = 0;
#define PUT(...) at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, __VA_ARGS__)
    for (int i = 0; i < ZS_BURGER_STAGES; i++, genes += STAGE_GENES) {
        PUT("%s%d,%d,%d", i ? " ; " : "", genes[0], genes[1], genes[2]);
        for (int j = 0; j < ZS_BURGER_SUBS; j++) {
            const zs_burger_sub s = sub_of(genes[3 + j]);
            PUT("%cskip-%s-%s-%s-%s", j ? '/' : ':', NORMS[s.norm1], OPS[s.op], NORMS[s.norm3], ACTS[s.act4]);
        }
        for (int k = 0; k < 2; k++)
            for (int j = 0; j < ZS_BURGER_SUBS; j++) PUT("%c%d", j ? ',' : ':', !is_passed(j, genes[3 + j]));
    }
#undef PUT
}

const zs_space zs_space_burgerformer = {
    .name = "burgerformer",
    .n_genes = ZS_BURGER_STAGES * STAGE_GENES,
    .channels = 0,
    .cells = 0,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = burgerformer_parse,
    .check = burgerformer_check,
    .format = burgerformer_format,
    .build = zs_burger_build,
};
