#include "scores/correlation.h"

#include "core/dense_rows.h"

/* Takes the mean off, and divides by the largest entry, so that squares stay in range. Entries are measured from the
   first one: the mean of equal entries would be off by rounding. */
static zs_rows_are centre(size_t d, double *row) {
    const double first = row[0];
    double sum = 0, largest = 0;
    if (!zs_row_is_finite(d, row)) return ZS_ROWS_NOT_FINITE;
    for (size_t j = 0; j < d; j++) sum += row[j] -= first;
    const double mean = sum / (double)d;
    for (size_t j = 0; j < d; j++) {
        row[j] -= mean;
        if (fabs(row[j]) > largest) largest = fabs(row[j]);
    }
    if (!isfinite(largest)) return ZS_ROWS_NOT_FINITE;
    if (largest == 0) return ZS_ROWS_CONSTANT;
    for (size_t j = 0; j < d; j++) row[j] /= largest;
    return ZS_ROWS_VARY;
}

zs_rows_are zs_correlate(size_t n, size_t d, double *rows, double *corr) {
    zs_rows_are all = ZS_ROWS_VARY;
    for (size_t i = 0; i < n; i++) {
        const zs_rows_are one = centre(d, rows + i * d);
        if (one > all) all = one;
    }
    if (all == ZS_ROWS_NOT_FINITE) return all;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) corr[i * n + j] = zs_row_dot(d, rows + i * d, rows + j * d);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const double r = corr[i * n + j] / sqrt(corr[i * n + i] * corr[j * n + j]);
            corr[i * n + j] = corr[j * n + i] = r > 1 ? 1 : r < -1 ? -1 : r;
        }
    for (size_t i = 0; i < n; i++) corr[i * n + i] = corr[i * n + i] > 0 ? 1 : (double)NAN;
    return all;
}
