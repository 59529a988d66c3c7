/* Genotypes of two cells, as DARTS, NAS-Bench-301 and NDS write them, without networks:

       Genotype(normal=[('sep_conv_3x3', 0), ('none', 1), ...], normal_concat=[2, 3, 4, 5],
                reduce=[...], reduce_concat=[...])

   States 0 and 1 are the outputs of the two cells before; pairs 2i and 2i+1, an operation and the state that it reads,
   add up to state i+2, a node; the concatenation of some of the nodes is the cell's output.

   Genes: of the normal cell each pair's operation, by its place in the space's list, and source; unless all nodes are
   concatenated, for each node 1 if it is; the same of the reduction cell. */
#ifndef ZS_SPACES_GENOTYPE_H
#define ZS_SPACES_GENOTYPE_H

#include "spaces/space.h"

enum { ZS_CELL_NODES = 5 }; /* at most */

typedef struct zs_cell {
    int op[2 * ZS_CELL_NODES], source[2 * ZS_CELL_NODES];
    unsigned concat; /* bit s: state s */
} zs_cell;

typedef struct zs_genotype {
    zs_cell normal, reduce;
} zs_genotype;

typedef struct zs_genotype_rules { /* which genotypes a space has */
    int n_nodes;
    int n_ops;
    const int *ops;        /* zs_cell_op of each operation of the space */
    bool all_concatenated; /* every node, always; else any of them, at least one */
    bool two_sources;      /* of a node differ */
} zs_genotype_rules;

int zs_genotype_n_genes(const zs_genotype_rules *rules);
zs_genotype zs_genotype_of_genes(const zs_genotype_rules *rules, const int *genes);

/* The text as Python's repr of the named tuple gives it, and what else the same call could look like: white space
   between tokens, either quote, lists or tuples, range(a, b), no keywords at all, a comma after the last item. The
   reader stands behind the text afterwards. False: the reader's error says where. */
bool zs_genotype_read(zs_reader *r, const zs_genotype_rules *rules, int *genes);
zs_status zs_genotype_check(const zs_genotype_rules *rules, const int *genes, zs_error *err);
/* The one spelling with keywords, single quotes and lists, at most `size` bytes with its NUL. */
void zs_genotype_format(const zs_genotype_rules *rules, const int *genes, char *out, size_t size);

/* Spaces whose text is that of a genotype and nothing else. */
zs_status zs_genotype_parse(const zs_genotype_rules *rules, const char *text, size_t len, int *genes, zs_error *err);

#endif
