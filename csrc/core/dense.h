/* Small dense linear algebra for scores, in double: serial, the same bits on every run, no allocation. Matrices are
   row-major and dense, sizes at least 1. Scratch is the caller's, aligned for double; *_scratch_bytes says how much.

   Nothing here is an error of the user's: what a matrix may lack is said by the return value, and results are written
   only with ZS_DENSE_OK. Every iteration is bounded. */
#ifndef ZS_DENSE_H
#define ZS_DENSE_H

#include "core/base.h"

typedef enum zs_dense_result {
    ZS_DENSE_OK = 0,
    ZS_DENSE_NOT_FINITE,   /* a NaN or an infinity among the entries */
    ZS_DENSE_NOT_POSITIVE, /* not positive definite to working precision */
    ZS_DENSE_UNCONVERGED,  /* never seen: far more sweeps than any matrix takes */
} zs_dense_result;

/* A = L L^T of a symmetric n x n matrix. Reads the lower triangle and overwrites it with L; above stays as it is.
   log_det: log det A, or NULL. Not positive: a pivot at most n 2^-52 times its diagonal entry. */
zs_dense_result zs_dense_cholesky(size_t n, double *a, double *log_det);

/* log |det A| by LU with partial pivoting, -infinity where a pivot is exactly 0. a is overwritten. */
zs_dense_result zs_dense_log_abs_det(size_t n, double *a, double *log_abs_det);

/* All eigenvalues of a symmetric matrix, ascending, each within a few n 2^-53 |A|. Reads the lower triangle; a is
   overwritten. */
size_t zs_dense_eigenvalues_scratch_bytes(size_t n);
zs_dense_result zs_dense_eigenvalues(size_t n, double *a, double *values, void *scratch);

/* A = Q R for m >= n: a (m x n) is overwritten with Q, whose columns are orthonormal whatever the rank; r (n x n) with
   R, upper triangular, its diagonal not negative. */
size_t zs_dense_qr_scratch_bytes(size_t m, size_t n);
zs_dense_result zs_dense_qr(size_t m, size_t n, double *a, double *r, void *scratch);

/* min(m, n) singular values of an m x n matrix, descending; a is overwritten. One-sided Jacobi: with m >= n values are
   as accurate, relative to themselves, as the matrix is well conditioned once its columns have the same norm (m < n:
   its rows), down to 2^-500 of the largest entry. */
size_t zs_dense_singular_values_scratch_bytes(size_t m, size_t n);
zs_dense_result zs_dense_singular_values(size_t m, size_t n, double *a, double *values, void *scratch);

/* C += A^T B; a (k x m), b (k x n), c (m x n). */
void zs_dense_add_outer(size_t k, size_t m, size_t n, const double *a, const double *b, double *restrict c);

/* C += A A^T, both triangles; a (n x k), c (n x n, symmetric). */
void zs_dense_add_gram(size_t n, size_t k, const double *restrict a, double *restrict c);

#endif
