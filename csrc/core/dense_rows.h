/* Loops over rows that dense.c and dense_values.c are made of. */
#ifndef ZS_DENSE_ROWS_H
#define ZS_DENSE_ROWS_H

#include <math.h>

#include "core/base.h"

enum { ZS_LANES = 8 }; /* partial sums: the order of a sum is ours, not the compiler's */

static inline double zs_row_sum_lanes(double *part) {
    for (size_t half = ZS_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) part[l] += part[l + half];
    return part[0];
}

static inline double zs_row_dot(size_t n, const double *x, const double *y) {
    double part[ZS_LANES] = {0.0};
    size_t j = 0;
    for (; j + ZS_LANES <= n; j += ZS_LANES)
        for (size_t l = 0; l < ZS_LANES; l++) part[l] += x[j + l] * y[j + l];
    for (size_t l = 0; j < n; j++, l++) part[l] += x[j] * y[j];
    return zs_row_sum_lanes(part);
}

/* y += f x */
static inline void zs_row_add(size_t n, double f, const double *restrict x, double *restrict y) {
    for (size_t j = 0; j < n; j++) y[j] += f * x[j];
}

static inline bool zs_row_is_finite(size_t n, const double *x) {
    int bad = 0;
    for (size_t j = 0; j < n; j++) bad |= !(fabs(x[j]) <= 0x1.fffffffffffffp1023);
    return !bad;
}

/* Divides by a power of two, so that the largest entry is in [0.5, 1): squares neither overflow nor vanish together.
   False: a NaN or an infinity. */
static inline bool zs_rows_scale(size_t n, double *x, int *exponent) {
    double largest = 0.0;
    *exponent = 0;
    if (!zs_row_is_finite(n, x)) return false;
    for (size_t j = 0; j < n; j++) largest = fabs(x[j]) > largest ? fabs(x[j]) : largest;
    frexp(largest, exponent);
    if (*exponent == 0) return true;
    /* in two steps: the factor may be beyond the range */
    const double first = ldexp(1.0, -(*exponent / 2)), second = ldexp(1.0, -(*exponent - *exponent / 2));
    for (size_t j = 0; j < n; j++) x[j] = x[j] * first * second;
    return true;
}

/* R and reflections of an m x n matrix, m >= n; u (m), w and tau (n) are scratch (dense.c). */
void zs_dense_householder(size_t m, size_t n, double *a, bool pivoted, double *tau, double *u, double *w);

#endif
