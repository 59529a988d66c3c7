/* Pearson correlation of the rows of a small matrix, in double: what jacob_cov, EPE-NAS and MeCo are made of. */
#ifndef ZS_CORRELATION_H
#define ZS_CORRELATION_H

#include "core/base.h"

typedef enum zs_rows_are {
    ZS_ROWS_VARY,
    ZS_ROWS_CONSTANT, /* at least one of them is: it correlates with nothing */
    ZS_ROWS_NOT_FINITE,
} zs_rows_are;

/* rows: n x d, overwritten. corr: n x n, both triangles; the row and the column of a constant row are NaN. It is left
   as it was where rows are not finite. Equal rows have a correlation of exactly 1. */
zs_rows_are zs_correlate(size_t n, size_t d, double *rows, double *corr);

#endif
