/* Modules of NAS-Bench-101 as graphs, without text and network: pruning, canonical form, enumeration.

   Edge (x, y), x < y, is bit x + y(y-1)/2, the benchmark's own numbering. */
#ifndef ZS_SPACES_NASBENCH101_H
#define ZS_SPACES_NASBENCH101_H

#include "core/base.h"

enum {
    ZS_NB101_CONV_3X3,
    ZS_NB101_CONV_1X1,
    ZS_NB101_MAX_POOL,
    ZS_NB101_OPS,
};
enum {
    ZS_NB101_VERTICES = 7, /* at most */
    ZS_NB101_EDGES = 9,
    ZS_NB101_BITS = 21,
    ZS_NB101_READ = 32, /* vertices of a matrix before pruning */
};

typedef struct zs_nb101_module {
    int n;                      /* vertices; 0 is the input, n-1 the output */
    int op[ZS_NB101_VERTICES];  /* of vertices 1 .. n-2 */
    uint32_t edges;             /* bits */
} zs_nb101_module;

static inline int zs_nb101_bit(int x, int y) { return x + y * (y - 1) / 2; }

static inline bool zs_nb101_has(const zs_nb101_module *m, int x, int y) { return m->edges >> zs_nb101_bit(x, y) & 1; }

/* Vertices that lie on a path from 0 to n-1, as bits; out[x] has bit y where x feeds y. n from 2 to ZS_NB101_READ. */
uint32_t zs_nb101_on_paths(int n, const uint32_t *out);

bool zs_nb101_is_full(int n, uint32_t edges); /* every vertex is on a path */

/* The least module that is equal but for the numbering of vertices: least edges, then least ops of 1, 2, .... Input and
   output stay. With `keep_order` the vertices that feed the output keep their order, by which the network's channels
   are dealt out. */
void zs_nb101_canonical(const zs_nb101_module *m, bool keep_order, zs_nb101_module *out);

/* All modules of n vertices that are their own canonical form (without keep_order), ascending: edges * 3^(n-2) + the
   ops as digits of base 3, those of vertex 1 first. `codes` holds zs_nb101_count(n). */
void zs_nb101_enumerate(int n, int32_t *codes);
size_t zs_nb101_count(int n); /* 2 <= n <= ZS_NB101_VERTICES */

/* zs_nb101_canonical of genes of the space, which are valid. */
void zs_nasbench101_canonical(const int *genes, bool keep_order, int *out);

#endif
