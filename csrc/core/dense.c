/* Factorisations. Inner loops run along rows: sums of rows where the algorithm leaves the choice, else sums over LANES
   partial sums, so that compilers vectorise them and the order of every sum is ours. */
#include "core/dense.h"

#include <math.h>
#include <string.h>

#include "core/dense_rows.h"

enum { PANEL = 8 }; /* columns of LU that are worked into the rest of the matrix at once */

zs_dense_result zs_dense_cholesky(size_t n, double *a, double *log_det) {
    ZS_ASSERT(n > 0);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        if (!zs_row_is_finite(i + 1, a + i * n)) return ZS_DENSE_NOT_FINITE;
    for (size_t i = 0; i < n; i++) {
        double *const row = a + i * n;
        for (size_t j = 0; j < i; j++) row[j] = (row[j] - zs_row_dot(j, row, a + j * n)) / a[j * n + j];
        const double pivot = row[i] - zs_row_dot(i, row, row);
        if (!(pivot > (double)n * 0x1p-52 * row[i])) return ZS_DENSE_NOT_POSITIVE;
        row[i] = sqrt(pivot);
        sum += log(pivot);
    }
    if (log_det) *log_det = sum;
    return ZS_DENSE_OK;
}

/* --- LU ---------------------------------------------------------------------------------------------------------- */

static void swap_rows(size_t n, double *restrict x, double *restrict y) {
    for (size_t j = 0; j < n; j++) {
        const double t = x[j];
        x[j] = y[j];
        y[j] = t;
    }
}

/* Eliminates columns [k0, k1) below the diagonal, in these alone; rows are exchanged whole. False: a zero pivot. */
static bool factor_panel(size_t n, double *a, size_t k0, size_t k1, double *log_abs_det) {
    for (size_t k = k0; k < k1; k++) {
        size_t best = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k])) best = i;
        double *const top = a + k * n;
        if (best != k) swap_rows(n, top, a + best * n);
        if (top[k] == 0.0) return false;
        *log_abs_det += log(fabs(top[k]));
        for (size_t i = k + 1; i < n; i++) {
            double *const row = a + i * n;
            row[k] /= top[k];
            for (size_t j = k + 1; j < k1; j++) row[j] -= row[k] * top[j];
        }
    }
    return true;
}

/* y[j] -= sum_b f[b] x[b,j], rows of x n apart */
static void subtract_panel(size_t count, size_t n, const double *restrict f, const double *restrict x,
                           double *restrict y) {
    for (size_t j = 0; j < count; j++) {
        double t = y[j];
        for (size_t b = 0; b < PANEL; b++) t -= f[b] * x[b * n + j];
        y[j] = t;
    }
}

zs_dense_result zs_dense_log_abs_det(size_t n, double *a, double *log_abs_det) {
    ZS_ASSERT(n > 0);
    if (!zs_row_is_finite(n * n, a)) return ZS_DENSE_NOT_FINITE;
    double sum = 0.0;
    for (size_t k0 = 0; k0 < n; k0 += PANEL) {
        const size_t k1 = k0 + PANEL < n ? k0 + PANEL : n;
        if (!factor_panel(n, a, k0, k1, &sum)) {
            *log_abs_det = -INFINITY;
            return ZS_DENSE_OK;
        }
        if (k1 == n) break;
        for (size_t k = k0; k < k1; k++) /* the panel's own rows */
            for (size_t i = k + 1; i < k1; i++) zs_row_add(n - k1, -a[i * n + k], a + k * n + k1, a + i * n + k1);
        for (size_t i = k1; i < n; i++) subtract_panel(n - k1, n, a + i * n + k0, a + k0 * n + k1, a + i * n + k1);
    }
    *log_abs_det = sum;
    return ZS_DENSE_OK;
}

/* --- QR ---------------------------------------------------------------------------------------------------------- */

size_t zs_dense_qr_scratch_bytes(size_t m, size_t n) { return (m + 2 * n) * sizeof(double); }

/* Rows [k, m) of columns [j0, n): A -= tau u (u^T A), u (m - k); w is scratch (n). */
static void reflect_rows(size_t m, size_t n, size_t k, size_t j0, double *a, double tau, const double *u, double *w) {
    const size_t count = n - j0;
    if (count == 0 || tau == 0.0) return;
    memset(w, 0, count * sizeof *w);
    for (size_t i = k; i < m; i++) zs_row_add(count, u[i - k], a + i * n + j0, w);
    for (size_t i = k; i < m; i++) zs_row_add(count, -tau * u[i - k], w, a + i * n + j0);
}

/* Brings the column with the longest part below row k to k. */
static void pivot_column(size_t m, size_t n, size_t k, double *a, double *squares) {
    memset(squares, 0, n * sizeof *squares);
    for (size_t i = k; i < m; i++)
        for (size_t j = k; j < n; j++) squares[j] += a[i * n + j] * a[i * n + j];
    size_t best = k;
    for (size_t j = k + 1; j < n; j++)
        if (squares[j] > squares[best]) best = j;
    for (size_t i = 0; i < m && best != k; i++) {
        const double t = a[i * n + k];
        a[i * n + k] = a[i * n + best];
        a[i * n + best] = t;
    }
}

/* R on and above the diagonal of a, below it the vectors of the reflections I - tau u u^T, each with u[0] = 1. */
void zs_dense_householder(size_t m, size_t n, double *a, bool pivoted, double *tau, double *u, double *w) {
    for (size_t k = 0; k < n; k++) {
        if (pivoted) pivot_column(m, n, k, a, w);
        const size_t count = m - k;
        for (size_t i = 0; i < count; i++) u[i] = a[(k + i) * n + k];
        const double tail = zs_row_dot(count - 1, u + 1, u + 1);
        tau[k] = 0.0;
        if (tail == 0.0) {
            for (size_t i = 1; i < count; i++) a[(k + i) * n + k] = 0.0; /* squares that vanish */
            continue;
        }
        const double alpha = -copysign(sqrt(u[0] * u[0] + tail), u[0]);
        const double top = u[0] - alpha;
        tau[k] = -top / alpha;
        u[0] = 1.0;
        for (size_t i = 1; i < count; i++) u[i] /= top;
        reflect_rows(m, n, k, k + 1, a, tau[k], u, w);
        a[k * n + k] = alpha;
        for (size_t i = 1; i < count; i++) a[(k + i) * n + k] = u[i];
    }
}

/* The reflections' product, its first n columns, in their place. */
static void form_q(size_t m, size_t n, double *a, const double *tau, double *u, double *w) {
    for (size_t k = n; k-- > 0;) {
        u[0] = 1.0;
        for (size_t i = k + 1; i < m; i++) u[i - k] = a[i * n + k];
        for (size_t i = 0; i < k; i++) a[i * n + k] = 0.0;
        for (size_t i = k; i < m; i++) a[i * n + k] = (i == k) - tau[k] * u[i - k];
        for (size_t j = k + 1; j < n; j++) a[k * n + j] = 0.0;
        reflect_rows(m, n, k, k + 1, a, tau[k], u, w);
    }
}

zs_dense_result zs_dense_qr(size_t m, size_t n, double *a, double *r, void *scratch) {
    ZS_ASSERT(n > 0 && m >= n);
    double *const u = scratch, *const w = u + m, *const tau = w + n;
    int exponent;
    if (!zs_rows_scale(m * n, a, &exponent)) return ZS_DENSE_NOT_FINITE;
    zs_dense_householder(m, n, a, false, tau, u, w);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) r[i * n + j] = j < i ? 0.0 : ldexp(a[i * n + j], exponent);
    form_q(m, n, a, tau, u, w);
    for (size_t k = 0; k < n; k++) {
        if (!(r[k * n + k] < 0.0)) continue;
        for (size_t j = k; j < n; j++) r[k * n + j] = -r[k * n + j];
        for (size_t i = 0; i < m; i++) a[i * n + k] = -a[i * n + k];
    }
    return ZS_DENSE_OK;
}

/* --- sums of products -------------------------------------------------------------------------------------------- */

/* c[i] += sum_l x[l] y[i,l] for four rows of y, ld apart */
static void add_four_dots(size_t n, const double *restrict x, const double *restrict y, size_t ld, double *restrict c) {
    double part[4][ZS_LANES] = {{0.0}};
    size_t j = 0;
    for (; j + ZS_LANES <= n; j += ZS_LANES)
        for (size_t r = 0; r < 4; r++)
            for (size_t l = 0; l < ZS_LANES; l++) part[r][l] += x[j + l] * y[r * ld + j + l];
    for (size_t r = 0; r < 4; r++) c[r] += zs_row_sum_lanes(part[r]) + zs_row_dot(n - j, x + j, y + r * ld + j);
}

/* Four rows at a time, so that c is read and written once for four products. */
void zs_dense_add_outer(size_t k, size_t m, size_t n, const double *a, const double *b, double *restrict c) {
    size_t r = 0;
    for (; r + 4 <= k; r += 4) {
        const double *const b0 = b + r * n, *const b1 = b0 + n, *const b2 = b1 + n, *const b3 = b2 + n;
        for (size_t i = 0; i < m; i++) {
            const double *const x = a + r * m + i;
            const double x0 = x[0], x1 = x[m], x2 = x[2 * m], x3 = x[3 * m];
            double *const row = c + i * n;
            for (size_t j = 0; j < n; j++) row[j] += (x0 * b0[j] + x1 * b1[j]) + (x2 * b2[j] + x3 * b3[j]);
        }
    }
    for (; r < k; r++)
        for (size_t i = 0; i < m; i++) zs_row_add(n, a[r * m + i], b + r * n, c + i * n);
}

void zs_dense_add_gram(size_t n, size_t k, const double *restrict a, double *restrict c) {
    enum { CHUNK = 512 }; /* columns at a time: rows of 4 kB stay in cache */
    ZS_ASSERT(n > 0 && k > 0);
    for (size_t k0 = 0; k0 < k; k0 += CHUNK) {
        const size_t count = k - k0 < CHUNK ? k - k0 : CHUNK;
        for (size_t i = 0; i < n; i++) {
            const double *const x = a + i * k + k0;
            size_t j = 0;
            for (; j + 4 <= i + 1; j += 4) add_four_dots(count, x, a + j * k + k0, k, c + i * n + j);
            for (; j <= i; j++) c[i * n + j] += zs_row_dot(count, x, a + j * k + k0);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) c[j * n + i] = c[i * n + j];
}
