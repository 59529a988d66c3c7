/* Sets of operations on the edges of a supernet, as a text and as a sum.

       |a,b,c~0|+|a~0|~1|          node 1 reads node 0 through a, b and c; node 2 node 0 through a, node 1 not at all

   A set is written in the order of the space's list, and is the bits of its operations. */
#ifndef ZS_SPACES_OP_SETS_H
#define ZS_SPACES_OP_SETS_H

#include "spaces/blocks.h"

enum { ZS_MAX_SUM = 64 };

/* Node `node`, with each source 0 .. node-1 once in any order: sets[source]. `expected` says what an operation is. */
bool zs_read_op_sets(zs_reader *r, int node, int n_ops, const char *const *ops, const char *expected, int *sets);
/* The same as a text; returns its length. `room` is enough. */
size_t zs_write_op_sets(char *out, size_t room, int node, const char *const *ops, const int *sets);

int zs_op_set_size(int set);

/* The terms of a node: each operation on an edge counts 1 / (number of operations there). */
typedef struct zs_mean {
    int n;
    int terms[ZS_MAX_SUM];
    double coefs[ZS_MAX_SUM];
} zs_mean;

void zs_mean_add(zs_mean *m, int term, int set);
/* Zeros like `x`, of every `stride`th pixel, where nothing was added. */
int zs_add_mean(zs_builder *b, const char *name, const zs_mean *m, int x, int stride);

#endif
