#include "scores/score.h"

#include <string.h>

#include "scores/score_table.h"

#define ZS_SCORE_DECLARE(name) extern const zs_score zs_score_##name;
ZS_SCORE_TABLE(ZS_SCORE_DECLARE)
#undef ZS_SCORE_DECLARE

static const zs_score *const SCORES[] = {
#define ZS_SCORE_ENTRY(name) &zs_score_##name,
    ZS_SCORE_TABLE(ZS_SCORE_ENTRY)
#undef ZS_SCORE_ENTRY
};

int zs_n_scores(void) { return (int)(sizeof SCORES / sizeof *SCORES); }

const zs_score *zs_score_at(int i) { return SCORES[i]; }

const zs_score *zs_score_by_name(const char *name) {
    for (int i = 0; i < zs_n_scores(); i++)
        if (strcmp(SCORES[i]->name, name) == 0) return SCORES[i];
    return NULL;
}
