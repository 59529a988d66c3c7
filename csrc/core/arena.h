/* The one allocator of the core, and the arena: a single allocation that holds all numbers of one scored architecture.

   The same code runs twice, first with a NULL base to measure, then to take, so that sizes cannot drift apart:

       zs_arena a = {0};
       layout(&a);                            measures: every take returns NULL, a.used grows
       size_t n = a.used; char *base = alloc(n);
       zs_arena_start(&a, base, n);
       layout(&a);                            takes

   Blocks are 64-byte aligned. In sanitizer builds ZS_GUARD poisoned bytes lie between them. */
#ifndef ZS_ARENA_H
#define ZS_ARENA_H

#include "core/base.h"

/* Small blocks of graphs and plans. Both may return NULL; freed with zs_free. Counted, so that tests can make the k-th
   allocation of a call fail (zs_alloc_fail_after). */
void *zs_alloc(size_t n_bytes);
void *zs_calloc(size_t n, size_t size); /* checked product, zeroed */
void *zs_realloc(void *p, size_t n_bytes);
void *zs_alloc_aligned(size_t n_bytes); /* 64-byte aligned */
void zs_free(void *p);
void zs_free_aligned(void *p);

/* Testing: the allocation number `k` from now (0 = the next) fails, and with `persistent` all later ones too;
   k < 0 turns it off. The only mutable state of the core, atomic, and -1 outside tests. */
void zs_alloc_fail_after(long k, bool persistent);
long zs_alloc_count(void); /* allocations since the last zs_alloc_fail_after */

typedef struct zs_arena {
    char *base; /* NULL: measure only */
    size_t used, capacity;
    bool overflow; /* a size did not fit in size_t, or more was taken than measured */
} zs_arena;

void zs_arena_start(zs_arena *a, void *base, size_t capacity);
void *zs_arena_take(zs_arena *a, size_t n_bytes);
void *zs_arena_take_array(zs_arena *a, size_t n, size_t size);

#endif
