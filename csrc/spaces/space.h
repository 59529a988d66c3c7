/* What a search space is: a text for every architecture, a fixed number of small integers ("genes") behind the text,
   and a network built from them. Which operations, edges and orders there are is the business of each space's file.

       const zs_space *space = zs_space_by_name("nasbench201", 11);
       int genes[ZS_MAX_GENES];
       zs_status st = space->parse(text, len, genes, &err);
       if (st == ZS_OK) st = space->build(genes, &args, &graph, &err);                                              */
#ifndef ZS_SPACE_H
#define ZS_SPACE_H

#include "core/graph.h"
#include "spaces/space_table.h"

#define ZS_MAX_GENES 128
#define ZS_MAX_ARCH_TEXT 4096 /* enough for the longest text that any space formats, with its NUL */

/* Whose networks are built of an architecture: the first is the space's own, its file says how others differ. */
typedef enum zs_space_builder {
    ZS_BUILDER_AUTODL, /* the space's own: the chosen operations */
    ZS_BUILDER_ZEROCOST, /* zero-cost-nas: every operation, whether it is chosen or not */
    ZS_BUILDER_IMAGENET, /* DARTS, for images of 224 x 224: another stem */
    ZS_BUILDER_NASLIB, /* NASLib: batch norms in operations without gamma and beta, one more behind each pool */
    ZS_N_BUILDERS
} zs_space_builder;

const char *zs_space_builder_name(int builder); /* NULL outside the list */
int zs_space_builder_by_name(const char *name); /* -1 if unknown */

typedef struct zs_space_args {
    int channels; /* width of the first stage; 0 where an architecture says its own */
    int cells; /* cells per stage, or whatever the space repeats; 0 as for channels */
    int num_classes;
    zs_shape input; /* of one image */
    zs_space_builder builder;
} zs_space_args;

typedef struct zs_space {
    const char *name;
    int n_genes; /* at most ZS_MAX_GENES */
    int channels, cells; /* of zs_space_args: what is usual */
    unsigned builders; /* that it knows, a bit each */

    /* Any bytes, NUL included; time is bounded by the longest valid text. Failure: ZS_EARCH with a byte position. */
    zs_status (*parse)(const char *text, size_t len, int *genes, zs_error *err);
    /* Whether genes that come from elsewhere are an architecture. Failure: ZS_EARCH. */
    zs_status (*check)(const int *genes, zs_error *err);
    /* `out` holds ZS_MAX_ARCH_TEXT bytes; genes are valid. parse(format(genes)) gives the genes back. */
    void (*format)(const int *genes, char *out);
    /* Genes are valid. Tensors stand in the order in which the release draws its weights. */
    zs_status (*build)(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err);
} zs_space;

#define ZS_SPACE_DECLARE(name) extern const zs_space zs_space_##name;
ZS_SPACE_TABLE(ZS_SPACE_DECLARE)
#undef ZS_SPACE_DECLARE

int zs_space_count(void);
const zs_space *zs_space_get(int i);
const zs_space *zs_space_by_name(const char *name, size_t len); /* NULL if unknown */

/* What every space asks of its arguments: all positive, none above the limits of graph.h; channels or cells 0 and no
   others where that is what is usual; a builder that it knows. */
zs_status zs_space_args_check(const zs_space *space, const zs_space_args *args, zs_error *err);

/* A reader over an architecture's text, for the parsers. Each call either takes what it wants and returns true (an
   index), or leaves "expected ..., got ..." with the position in `err` and returns false (-1). */
typedef struct zs_reader {
    const char *text;
    size_t len, at;
    zs_error *err;
} zs_reader;

bool zs_read_char(zs_reader *r, char c, const char *expected);
int zs_read_word(zs_reader *r, int n, const char *const *words, const char *expected); /* the longest [A-Za-z0-9_]* */
int zs_read_digit(zs_reader *r, int n, const char *expected); /* one of the digits 0 .. n-1, n <= 10 */
bool zs_read_literal(zs_reader *r, const char *literal, const char *expected);
/* A number from min (0 or more) to max (at most 10^8) without zeros before it. */
int zs_read_number(zs_reader *r, int min, int max, const char *expected);
bool zs_read_end(zs_reader *r);
bool zs_read_if(zs_reader *r, const char *word); /* whether it stands here, and is taken; no error where it does not */
zs_status zs_read_fail(zs_reader *r, size_t at, const char *expected);

/* What the calls above expect, where that has to be put together. */
typedef struct zs_expected_text {
    char text[256];
} zs_expected_text;

ZS_PRINTF(1, 2) zs_expected_text zs_expected(const char *format, ...);
/* Behind out[at], in a text of `size` bytes, which it never leaves; where the text ends then. */
ZS_PRINTF(4, 5) size_t zs_put(char *out, size_t size, size_t at, const char *format, ...);

#endif
