/* Eigenvalues and singular values, without vectors. */
#include <string.h>

#include "core/dense.h"
#include "core/dense_rows.h"

enum { MAX_SWEEPS = 60 }; /* per value; two are usual for eigenvalues, ten in all for singular values */

static const double EPS = 0x1p-52;

static void sort_ascending(size_t n, double *x) {
    for (size_t i = 1; i < n; i++) {
        const double value = x[i];
        size_t j = i;
        for (; j > 0 && x[j - 1] > value; j--) x[j] = x[j - 1];
        x[j] = value;
    }
}

/* --- symmetric to tridiagonal ------------------------------------------------------------------------------------ */

/* A row of the lower triangle: a -= vi w + wi v, then p += ui a; returns a . u. One pass, as memory is what it waits
   for. */
static double update_row(size_t n, double *restrict a, double vi, double wi, double ui, const double *restrict v,
                         const double *restrict w, const double *restrict u, double *restrict p) {
    double part[ZS_LANES] = {0.0};
    size_t j = 0;
    for (; j + ZS_LANES <= n; j += ZS_LANES)
        for (size_t l = 0; l < ZS_LANES; l++) {
            const double x = a[j + l] - vi * w[j + l] - wi * v[j + l];
            a[j + l] = x;
            p[j + l] += ui * x;
            part[l] += x * u[j + l];
        }
    for (size_t l = 0; j < n; j++, l++) {
        const double x = a[j] - vi * w[j] - wi * v[j];
        a[j] = x;
        p[j] += ui * x;
        part[l] += x * u[j];
    }
    return zs_row_sum_lanes(part);
}

/* Householder from the last row up: row i is reflected onto its entry left of the diagonal. The leading block's update
   A - v w^T - w v^T waits until the next step multiplies the block by its own vector u (p = A u). d (n) is the
   diagonal, e2 (n - 1) the squares beside it; scratch (4 n). */
static void tridiagonalise(size_t n, double *a, double *d, double *e2, double *scratch) {
    double *v = scratch, *w = v + n, *u = w + n, *p = u + n;
    memset(v, 0, 2 * n * sizeof *v);
    for (size_t i = n; i-- > 0;) {
        double *const row = a + i * n;
        for (size_t j = 0; j <= i; j++) row[j] -= v[i] * w[j] + w[i] * v[j];
        d[i] = row[i];
        if (i == 0) break;

        const double last = row[i - 1], tail = zs_row_dot(i - 1, row, row), norm2 = last * last + tail;
        e2[i - 1] = norm2;
        double beta = 0.0; /* the reflection is I - beta u u^T */
        memset(u, 0, i * sizeof *u);
        if (tail > 0.0) {
            const double norm = sqrt(norm2);
            memcpy(u, row, i * sizeof *u);
            u[i - 1] += copysign(norm, last);
            beta = 1.0 / (norm * (norm + fabs(last)));
        }
        memset(p, 0, i * sizeof *p);
        for (size_t r = 0; r < i; r++) {
            double *const ar = a + r * n;
            const double sum = update_row(r, ar, v[r], w[r], u[r], v, w, u, p);
            ar[r] -= 2.0 * v[r] * w[r];
            p[r] += sum + ar[r] * u[r];
        }
        /* w = beta p - (beta^2 / 2) (u . p) u */
        const double half = 0.5 * beta * beta * zs_row_dot(i, u, p);
        for (size_t j = 0; j < i; j++) p[j] = beta * p[j] - half * u[j];
        double *const free_v = v, *const free_w = w;
        v = u, w = p, u = free_v, p = free_w;
    }
}

/* --- eigenvalues of a tridiagonal matrix ------------------------------------------------------------------------- */

static bool is_negligible(const double *d, const double *e2, size_t i) {
    return e2[i] <= EPS * EPS * fabs(d[i]) * fabs(d[i + 1]) || e2[i] < 0x1p-1000;
}

static void solve_two(double *d, double b2) {
    const double sum = d[0] + d[1], root = hypot(d[0] - d[1], 2.0 * sqrt(b2));
    const double big = 0.5 * (sum + copysign(root, sum)); /* never 0: b2 is not */
    const double small = d[0] / big * d[1] - b2 / big;
    d[0] = small;
    d[1] = big;
}

/* One implicit QL step on rows [l, m], in the rational form without square roots of Pal, Walker and Kahan (Parlett, The
   Symmetric Eigenvalue Problem, section 8.15), with Wilkinson's shift; d[l] converges. */
static void ql_step(double *d, double *e2, size_t l, size_t m) {
    const double root = sqrt(e2[l]), g = (d[l + 1] - d[l]) / (2.0 * root);
    const double shift = d[l] - root / (g + copysign(hypot(g, 1.0), g));
    double c = 1.0, s = 0.0, gamma = d[m] - shift, p = gamma * gamma;
    for (size_t i = m; i-- > l;) {
        const double b2 = e2[i], r = p + b2, old_c = c, old_gamma = gamma;
        if (i + 1 < m) e2[i + 1] = s * r;
        c = p / r;
        s = b2 / r;
        gamma = c * (d[i] - shift) - s * old_gamma;
        d[i + 1] = old_gamma + (d[i] - gamma);
        p = c != 0.0 ? gamma * gamma / c : old_c * b2;
    }
    e2[l] = s * p;
    d[l] = shift + gamma;
}

static void reverse(size_t n, double *x) {
    for (size_t i = 0; i < n / 2; i++) {
        const double t = x[i];
        x[i] = x[n - 1 - i];
        x[n - 1 - i] = t;
    }
}

/* d becomes the eigenvalues, in no order. */
static bool tridiagonal_eigenvalues(size_t n, double *d, double *e2) {
    size_t steps_left = MAX_SWEEPS * n;
    for (size_t l = 0; l < n;) {
        size_t end = l; /* of the block that hangs together */
        while (end + 1 < n && !is_negligible(d, e2, end)) end++;
        if (fabs(d[end]) < fabs(d[l])) { /* the small end first: graded matrices lose nothing */
            reverse(end - l + 1, d + l);
            reverse(end - l, e2 + l);
        }
        while (l <= end) {
            size_t m = l;
            while (m < end && !is_negligible(d, e2, m)) m++;
            if (m < end) e2[m] = 0.0;
            if (m == l) {
                l++;
            } else if (m == l + 1) {
                solve_two(d + l, e2[l]);
                l += 2;
            } else {
                if (steps_left-- == 0) return false;
                ql_step(d, e2, l, m);
            }
        }
    }
    return true;
}

size_t zs_dense_eigenvalues_scratch_bytes(size_t n) { return 5 * n * sizeof(double); }

zs_dense_result zs_dense_eigenvalues(size_t n, double *a, double *values, void *scratch) {
    ZS_ASSERT(n > 0);
    double *const e2 = scratch;
    int exponent;
    for (size_t i = 0; i < n; i++) /* what lies above the diagonal is not ours to judge */
        memset(a + i * n + i + 1, 0, (n - i - 1) * sizeof *a);
    if (!zs_rows_scale(n * n, a, &exponent)) return ZS_DENSE_NOT_FINITE;
    tridiagonalise(n, a, values, e2, e2 + n);
    if (!tridiagonal_eigenvalues(n, values, e2)) return ZS_DENSE_UNCONVERGED;
    sort_ascending(n, values);
    for (size_t i = 0; i < n; i++) values[i] = ldexp(values[i], exponent);
    return ZS_DENSE_OK;
}

/* --- singular values --------------------------------------------------------------------------------------------- */

/* x, y = c x - s y, s x + c y; their squared lengths come out. */
static void rotate(size_t n, double c, double s, double *restrict x, double *restrict y, double *xx, double *yy) {
    double of_x[ZS_LANES] = {0.0}, of_y[ZS_LANES] = {0.0};
    size_t j = 0;
    for (; j + ZS_LANES <= n; j += ZS_LANES)
        for (size_t l = 0; l < ZS_LANES; l++) {
            const double t = c * x[j + l] - s * y[j + l];
            y[j + l] = s * x[j + l] + c * y[j + l];
            x[j + l] = t;
            of_x[l] += t * t;
            of_y[l] += y[j + l] * y[j + l];
        }
    for (size_t l = 0; j < n; j++, l++) {
        const double t = c * x[j] - s * y[j];
        y[j] = s * x[j] + c * y[j];
        x[j] = t;
        of_x[l] += t * t;
        of_y[l] += y[j] * y[j];
    }
    *xx = zs_row_sum_lanes(of_x);
    *yy = zs_row_sum_lanes(of_y);
}

/* Rotates rows of the n x n matrix until all are orthogonal; their lengths come out. */
static bool orthogonalise_rows(size_t n, double *a, double *squares) {
    const double tolerance = (double)n * 0x1p-53;
    for (size_t i = 0; i < n; i++) squares[i] = zs_row_dot(n, a + i * n, a + i * n);
    for (int sweep = 0; sweep < MAX_SWEEPS; sweep++) {
        bool is_done = true;
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++) {
                const double dot = zs_row_dot(n, a + p * n, a + q * n);
                if (fabs(dot) <= tolerance * sqrt(squares[p]) * sqrt(squares[q])) continue;
                is_done = false;
                const double zeta = (squares[q] - squares[p]) / (2.0 * dot);
                const double t = copysign(1.0, zeta) / (fabs(zeta) + sqrt(1.0 + zeta * zeta));
                const double c = 1.0 / sqrt(1.0 + t * t);
                rotate(n, c, c * t, a + p * n, a + q * n, &squares[p], &squares[q]);
            }
        if (is_done) return true;
    }
    return false;
}

size_t zs_dense_singular_values_scratch_bytes(size_t m, size_t n) {
    return (m + n + 2 * (m < n ? m : n) + (m < n ? m * n : 0)) * sizeof(double);
}

/* Of R, which has them all: rows of the R of a QR factorisation with pivoting are nearly orthogonal. */
zs_dense_result zs_dense_singular_values(size_t m, size_t n, double *a, double *values, void *scratch) {
    ZS_ASSERT(m > 0 && n > 0);
    const size_t tall = m > n ? m : n, few = m > n ? n : m;
    double *const u = scratch, *const w = u + tall, *const tau = w + few, *const transposed = tau + few;
    int exponent;
    if (!zs_rows_scale(m * n, a, &exponent)) return ZS_DENSE_NOT_FINITE;
    if (m < n) {
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) transposed[j * m + i] = a[i * n + j];
        a = transposed;
    }
    zs_dense_householder(tall, few, a, true, tau, u, w);
    for (size_t i = 1; i < few; i++) memset(a + i * few, 0, i * sizeof *a);
    if (!orthogonalise_rows(few, a, w)) return ZS_DENSE_UNCONVERGED;
    sort_ascending(few, w);
    for (size_t i = 0; i < few; i++) values[i] = ldexp(sqrt(w[few - 1 - i]), exponent);
    return ZS_DENSE_OK;
}
