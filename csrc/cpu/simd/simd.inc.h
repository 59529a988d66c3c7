/* What every vectorised kernel file sees. One isa_<isa>_<dtype>.c defines, before it includes table_simd.inc.h:
       real ZS_DTYPE ZS_ISA(name) ZS_VEC_BYTES ZS_ACCUMULATORS
   Bodies are written once, with the compilers' vector types (gcc and clang), and instantiated for each ISA and dtype.
   A vector is a run of channels. Tails use partial loads and stores of the same vector arithmetic, so an element's bits
   do not depend on where in a vector it lies. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifdef __clang__ /* fuses a * b + c where it is written so, not where the operations happen to meet in a basic block */
#pragma clang fp contract(on)
#endif

#define INLINE static inline __attribute__((always_inline))

/* Lanes may lie at any address that suits one element, and alias everything. */
typedef real vec __attribute__((vector_size(ZS_VEC_BYTES), aligned(sizeof(real)), may_alias));
typedef __typeof__((vec){0} < (vec){0}) mask; /* integers: -1 where true */

enum { VL = ZS_VEC_BYTES / sizeof(real) };

INLINE vec v_load(const real *p) { return *(const vec *)p; }
INLINE void v_store(real *p, vec v) { *(vec *)p = v; }

/* The first n < VL lanes; the others are zero, or left alone. */
INLINE vec v_load_part(const real *p, int n) {
    vec v = {0};
    memcpy(&v, p, (size_t)(n & (VL - 1)) * sizeof(real)); /* the mask tells compilers the bound */
    return v;
}
INLINE void v_store_part(real *p, vec v, int n) { memcpy(p, &v, (size_t)(n & (VL - 1)) * sizeof(real)); }

INLINE vec v_load_n(const real *p, int n) { return n >= VL ? v_load(p) : v_load_part(p, n); }
INLINE void v_store_n(real *p, vec v, int n) {
    if (n >= VL)
        v_store(p, v);
    else
        v_store_part(p, v, n);
}

INLINE vec v_set(real x) { return x - (vec){0}; } /* broadcast; x - 0 keeps NaN and the sign of zero */

/* m ? a : b, lane by lane */
INLINE vec v_select(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }

/* x < 0 ? 0 : x, so NaN stays: the instructions return their second operand if either is NaN or both are zeros */
INLINE vec v_relu(vec x) {
#ifdef __AVX512F__
    return sizeof(real) == 4 ? (vec)_mm512_max_ps(_mm512_setzero_ps(), (__m512)x)
                             : (vec)_mm512_max_pd(_mm512_setzero_pd(), (__m512d)x);
#elif defined __AVX2__
    return sizeof(real) == 4 ? (vec)_mm256_max_ps(_mm256_setzero_ps(), (__m256)x)
                             : (vec)_mm256_max_pd(_mm256_setzero_pd(), (__m256d)x);
#else
    return v_select(x < (vec){0}, (vec){0}, x);
#endif
}

INLINE const real *at(const zs_view *v, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w) {
    return (const real *)v->p + n * v->sn + h * v->sh + w * v->sw;
}
INLINE real *at_mut(const zs_view *v, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w) {
    return (real *)v->p + n * v->sn + h * v->sh + w * v->sw;
}

/* v_load_n and v_store_n with the ISA's masks, where it has them. Compilers call memcpy for the latter's tails, which
   costs more than the arithmetic: 14 GB/s instead of 56 for batch norm of 24 channels in vectors of 16. */
#ifdef __AVX512F__
INLINE vec v_load_lanes(const real *p, int n) {
    if (n >= VL) return v_load(p);
    const unsigned m = (1u << n) - 1;
    return sizeof(real) == 4 ? (vec)_mm512_maskz_loadu_ps((__mmask16)m, p) : (vec)_mm512_maskz_loadu_pd((__mmask8)m, p);
}
INLINE void v_store_lanes(real *p, vec v, int n) {
    const unsigned m = (1u << (n & (VL - 1))) - 1;
    if (n >= VL)
        v_store(p, v);
    else if (sizeof(real) == 4)
        _mm512_mask_storeu_ps(p, (__mmask16)m, (__m512)v);
    else
        _mm512_mask_storeu_pd(p, (__mmask8)m, (__m512d)v);
}
#elif defined __AVX2__
INLINE __m256i lanes_below(int n) {
    static const int window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - (size_t)n * sizeof(real) / 4));
}
INLINE vec v_load_lanes(const real *p, int n) {
    if (n >= VL) return v_load(p);
    return sizeof(real) == 4 ? (vec)_mm256_maskload_ps((const float *)p, lanes_below(n))
                             : (vec)_mm256_maskload_pd((const double *)p, lanes_below(n));
}
INLINE void v_store_lanes(real *p, vec v, int n) {
    if (n >= VL)
        v_store(p, v);
    else if (sizeof(real) == 4)
        _mm256_maskstore_ps((float *)p, lanes_below(n), (__m256)v);
    else
        _mm256_maskstore_pd((double *)p, lanes_below(n), (__m256d)v);
}
#else
INLINE vec v_load_lanes(const real *p, int n) { /* short vectors: lane by lane, without a detour through memory */
    if (n >= VL) return v_load(p);
    vec v = {0};
    for (int i = 0; i < VL - 1; i++)
        if (i < n) v[i] = p[i];
    return v;
}
INLINE void v_store_lanes(real *p, vec v, int n) {
    if (n >= VL)
        v_store(p, v);
    else
        for (int i = 0; i < VL - 1; i++)
            if (i < n) p[i] = v[i];
}
#endif

INLINE vec v_abs(vec x) { return (vec)((mask)x & ~(mask)v_set((real)-0.0)); }

/* Asks early for what will be read or written soon: what is not in cache stops stores, and tiles of a few pixels are no
   pattern that hardware foresees. */
INLINE void prefetch_run(const real *p, ptrdiff_t n) {
    for (const real *const end = p + n; p < end; p += ZS_ALIGN / sizeof(real)) __builtin_prefetch(p, 0, 2);
}
INLINE void prefetch_row(const zs_view *v, int n, int h, int width) { prefetch_run(at(v, n, h, 0), width * v->sw); }

/* Integers as wide as a real, to keep or to add up masks in. */
typedef __typeof__(__builtin_choose_expr(sizeof(real) == 4, (int32_t)0, (int64_t)0)) lane;
typedef lane ints __attribute__((vector_size(ZS_VEC_BYTES)));

INLINE int64_t v_count(ints sum) { /* lanes of added-up masks, as a positive number */
    int64_t count = 0;
    for (int i = 0; i < VL; i++) count -= sum[i];
    return count;
}

/* A run of reals widened to double, for sums that must not be made in `real`. */
typedef double wide __attribute__((vector_size(ZS_VEC_BYTES), aligned(sizeof(double)), may_alias));
enum { WL = ZS_VEC_BYTES / sizeof(double) };
typedef real narrow __attribute__((vector_size(WL * sizeof(real)), aligned(sizeof(real)), may_alias));

INLINE wide w_load_n(const double *p, size_t n) {
    if (n >= WL) return *(const wide *)p;
    wide v = {0};
    memcpy(&v, p, n * sizeof(double));
    return v;
}
INLINE void w_store_n(double *p, wide v, size_t n) { memcpy(p, &v, (n < WL ? n : WL) * sizeof(double)); }

INLINE wide w_from_n(const real *p, size_t n) {
    narrow v = {0};
    if (n >= WL)
        v = *(const narrow *)p;
    else
        memcpy(&v, p, n * sizeof(real));
    return __builtin_convertvector(v, wide);
}
INLINE void w_to_n(real *p, wide v, size_t n) {
    const narrow r = __builtin_convertvector(v, narrow);
    memcpy(p, &r, (n < WL ? n : WL) * sizeof(real));
}

/* Strips of channels: f(U, c, n_lanes, ...) for U <= U_MAX vectors (4, 2 or 1) from channel c on. U is a constant where
   f is inlined, and n_lanes < VL only in the last strip, if C is no multiple of VL. */
#define FOR_STRIPS(U_MAX, C, f, ...)                       \
    do {                                                   \
        for (int c_ = 0, left_; (left_ = (C) - c_) > 0;) { \
            if (U_MAX >= 4 && left_ >= 4 * VL) {           \
                f(4, c_, VL, __VA_ARGS__);                 \
                c_ += 4 * VL;                              \
            } else if (U_MAX >= 2 && left_ >= 2 * VL) {    \
                f(2, c_, VL, __VA_ARGS__);                 \
                c_ += 2 * VL;                              \
            } else if (left_ >= VL) {                      \
                f(1, c_, VL, __VA_ARGS__);                 \
                c_ += VL;                                  \
            } else {                                       \
                f(1, c_, left_, __VA_ARGS__);              \
                c_ = (C);                                  \
            }                                              \
        }                                                  \
    } while (0)

/* A block of samples as the fewest and longest rows that all its views allow: planes without gaps between rows become
   one row, samples without gaps between them too. Only for kernels to which a pixel's place means nothing. */
typedef struct rows {
    int n0, n1, H, W, C;
} rows;

enum { MAX_RUN = 1 << 30 };

INLINE rows merge_rows(zs_shape s, int n0, int n1, int n_views, const zs_view *const *v) {
    rows r = {n0, n1, s.H, s.W, s.C};
    bool planes = (ptrdiff_t)s.H * s.W < MAX_RUN;
    for (int i = 0; i < n_views; i++) planes &= s.H == 1 || v[i]->sh == s.W * v[i]->sw;
    if (!planes) return r;
    r.W = s.H * s.W;
    r.H = 1;
    bool samples = n1 > n0 && (ptrdiff_t)(n1 - n0) * r.W < MAX_RUN;
    for (int i = 0; i < n_views; i++) samples &= v[i]->sn == r.W * v[i]->sw;
    if (!samples) return r;
    r.W *= n1 - n0;
    r.n1 = n0 + 1;
    return r;
}

/* The same for kernels to which a channel's number means nothing either: rows without gaps become one pixel. */
INLINE rows merge_all(zs_shape s, int n0, int n1, int n_views, const zs_view *const *v) {
    rows r = merge_rows(s, n0, n1, n_views, v);
    bool dense = (ptrdiff_t)r.W * r.C < MAX_RUN;
    for (int i = 0; i < n_views; i++) dense &= v[i]->sw == r.C;
    if (!dense) return r;
    r.C *= r.W;
    r.W = 1;
    return r;
}
