/* libFuzzer over what a search space does with texts and genes from outside.

   Built and run by run.py; the space is named in ZEROSHOT_FUZZ_SPACE. An input's first byte says whether what follows
   is a text or genes, two bytes each. Whatever comes, the space takes it or refuses it with a message and a place in
   the text; what it takes it writes as a text that gives the same genes, and builds or refuses a network. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spaces/space.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One input in so many is built, which takes hundreds of times as long as parsing it. */
enum { BUILD_EVERY = 512, UNSET = 0x5a };

static const zs_space *space;

static void expect(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", space->name, what);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *name = getenv("ZEROSHOT_FUZZ_SPACE");
    space = name ? zs_space_by_name(name, strlen(name)) : NULL;
    if (!space) fprintf(stderr, "ZEROSHOT_FUZZ_SPACE: expected a space, got %s\n", name ? name : "nothing");
    return space ? 0 : (exit(2), 1);
}

static void build(const int *genes, uint32_t hash) {
    const zs_space_args args = {
        .channels = space->channels == 0 ? 0 : 1 + (int)(hash >> 8 & 7),
        .cells = hash >> 11 & 1 ? space->cells : 1 + (int)(hash >> 12 & 3),
        .num_classes = 1 + (int)(hash >> 14 & 15),
        .input = {3, 1 << (hash >> 18 & 7), 1 << (hash >> 21 & 7)},
        .builder = (zs_space_builder)((hash >> 24) % ZS_N_BUILDERS),
    };
    zs_graph *graph = NULL;
    zs_error err = {0};
    const zs_status st = space->build(genes, &args, &graph, &err);
    expect(st == ZS_OK || (!graph && err.text[0]), "refuses to build without a message");
    expect(st != ZS_OK || graph->nodes[graph->n_nodes - 1].shape.C == args.num_classes, "another number of classes");
    if (graph) zs_graph_free(graph);
}

static void write_and_read(const int *genes) {
    char text[ZS_MAX_ARCH_TEXT];
    int again[ZS_MAX_GENES];
    zs_error err = {0};
    memset(text, 1, sizeof text);
    memset(again, UNSET, sizeof again);
    space->format(genes, text);
    const char *end = memchr(text, 0, sizeof text);
    expect(end, "formats no end");
    expect(space->parse(text, (size_t)(end - text), again, &err) == ZS_OK, "does not parse what it formats");
    expect(memcmp(genes, again, (size_t)space->n_genes * sizeof *genes) == 0, "other genes after formatting");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const bool is_text = data[0] != 0;
    const size_t len = size - 1;
    int genes[ZS_MAX_GENES];
    zs_error err = {0};
    memset(genes, UNSET, sizeof genes);
    zs_status st;
    if (is_text) {
        char *text = malloc(len + 1); /* so that a byte read beyond it is seen */
        if (!text) return 0;
        char *exact = len ? realloc(text, len) : text;
        memcpy(exact, data + 1, len);
        st = space->parse(exact, len, genes, &err);
        free(exact);
        expect(st == ZS_OK || err.position <= (long)len, "a position outside the text");
        zs_error ignored = {0};
        expect(st != ZS_OK || space->check(genes, &ignored) == ZS_OK, "parses what it does not take as genes");
    } else {
        for (size_t i = 0; i < (size_t)space->n_genes; i++)
            genes[i] = 2 * i + 1 < len ? (int16_t)(data[2 * i + 1] | data[2 * i + 2] << 8) : 0;
        st = space->check(genes, &err);
    }
    expect(st == ZS_OK || (st == ZS_EARCH && err.text[0]), "refuses with another error, or without a message");
    if (st != ZS_OK) return 0;
    write_and_read(genes);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 16777619u;
    if ((hash ^ hash >> 16) % BUILD_EVERY == 0) build(genes, hash);
    return 0;
}
