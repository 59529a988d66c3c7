/* Sizes, alignment, assertions. Includes nothing of ours. */
#ifndef ZS_BASE_H
#define ZS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZS_ALIGN 64 /* every block of an arena starts on a cache line */
#define ZS_NAME_MAX 64

#if defined(__GNUC__)
#define ZS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ZS_PRINTF(fmt, args)
#endif

/* A broken invariant is ours, never the user's: on in debug and sanitizer builds only. */
#ifdef ZS_DEBUG
#define ZS_ASSERT(cond) ((cond) ? (void)0 : __builtin_trap())
#else
#define ZS_ASSERT(cond) ((void)0)
#endif

typedef enum zs_dtype { ZS_F32 = 0, ZS_F64 = 1 } zs_dtype;

static inline size_t zs_dtype_size(zs_dtype dtype) { return dtype == ZS_F64 ? sizeof(double) : sizeof(float); }

static inline size_t zs_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* Checked arithmetic for sizes that come from a user: false on overflow. */
static inline bool zs_mul_ok(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool zs_add_ok(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

#endif
