#include "core/arena.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ZS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ZS_ASAN 1
#endif
#endif
#ifdef ZS_ASAN
#include <sanitizer/asan_interface.h>
#define ZS_GUARD 64
#else
#define ZS_GUARD 0
#endif

/* Large blocks ask for large pages: a fresh arena is touched all at once. */
enum { HUGE_PAGE = 2 << 20 };

static _Atomic long alloc_countdown = -1;
static _Atomic bool alloc_persistent = false;
static _Atomic long alloc_seen = 0;

void zs_alloc_fail_after(long k, bool persistent) {
    atomic_store(&alloc_persistent, persistent);
    atomic_store(&alloc_seen, 0);
    atomic_store(&alloc_countdown, k);
}

long zs_alloc_count(void) { return atomic_load(&alloc_seen); }

static bool refused(void) {
    atomic_fetch_add(&alloc_seen, 1);
    if (atomic_load(&alloc_countdown) < 0) return false;
    const long left = atomic_fetch_sub(&alloc_countdown, 1);
    if (left == 0 && atomic_load(&alloc_persistent)) atomic_store(&alloc_countdown, 0);
    return left == 0;
}

void *zs_alloc(size_t n_bytes) { return refused() ? NULL : malloc(n_bytes ? n_bytes : 1); }

void *zs_calloc(size_t n, size_t size) { return refused() ? NULL : calloc(n ? n : 1, size ? size : 1); }

void *zs_realloc(void *p, size_t n_bytes) { return refused() ? NULL : realloc(p, n_bytes ? n_bytes : 1); }

void *zs_alloc_aligned(size_t n_bytes) {
    void *p = NULL;
    const size_t align = n_bytes >= HUGE_PAGE ? HUGE_PAGE : ZS_ALIGN;
    if (refused() || posix_memalign(&p, align, n_bytes ? n_bytes : ZS_ALIGN) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (n_bytes >= HUGE_PAGE) madvise(p, n_bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a hint: may fail */
#endif
    return p;
}

void zs_free(void *p) { free(p); }

void zs_free_aligned(void *p) { free(p); }

void zs_arena_start(zs_arena *a, void *base, size_t capacity) {
    a->base = base;
    a->used = 0;
    a->capacity = capacity;
    a->overflow = false;
#ifdef ZS_ASAN
    if (base) ASAN_UNPOISON_MEMORY_REGION(base, capacity);
#endif
}

void *zs_arena_take(zs_arena *a, size_t n_bytes) {
    size_t end;
    if (a->overflow || n_bytes > SIZE_MAX - ZS_ALIGN - ZS_GUARD ||
        !zs_add_ok(a->used, zs_round_up(n_bytes, ZS_ALIGN) + ZS_GUARD, &end)) {
        a->overflow = true;
        return NULL;
    }
    const size_t start = a->used;
    a->used = end;
    if (!a->base) return NULL;
    if (end > a->capacity) {
        a->overflow = true;
        return NULL;
    }
#ifdef ZS_ASAN
    ASAN_POISON_MEMORY_REGION(a->base + start + n_bytes, end - start - n_bytes);
#endif
    return a->base + start;
}

void *zs_arena_take_array(zs_arena *a, size_t n, size_t size) {
    size_t n_bytes;
    if (!zs_mul_ok(n, size, &n_bytes)) {
        a->overflow = true;
        return NULL;
    }
    return zs_arena_take(a, n_bytes);
}
