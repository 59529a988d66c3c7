/* zeroshot._testing: small dense linear algebra. What a matrix lacks is a ValueError. */
#include "py/testing/arguments.h"

#include "core/arena.h"
#include "core/dense.h"

static bool is_ok(zs_dense_result result) {
    switch (result) {
    case ZS_DENSE_OK: return true;
    case ZS_DENSE_NOT_FINITE: return zs_expect(false, "finite entries");
    case ZS_DENSE_NOT_POSITIVE: return zs_expect(false, "a positive definite matrix");
    case ZS_DENSE_UNCONVERGED: break;
    }
    PyErr_SetString(PyExc_ArithmeticError, "no convergence");
    return false;
}

static bool is_matrix(const zs_array *a) {
    return zs_expect(a->type == NPY_DOUBLE && a->ndim == 2 && a->n > 0, "a float64 matrix of at least one entry");
}

static bool is_square(const zs_array *a) { return is_matrix(a) && zs_expect(a->N == a->H, "a square matrix"); }

static bool is_double(const zs_array *a, size_t n) {
    return zs_expect(zs_is(a, NPY_DOUBLE, n), "a float64 output of the right size");
}

static PyObject *dense_cholesky(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a;
    double log_det;
    if (!PyArg_ParseTuple(args, "O&:dense_cholesky", zs_dense_out, &a) || !is_square(&a)) return NULL;
    if (!is_ok(zs_dense_cholesky((size_t)a.N, a.v.p, &log_det))) return NULL;
    return PyFloat_FromDouble(log_det);
}

static PyObject *dense_log_abs_det(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a;
    double log_abs_det;
    if (!PyArg_ParseTuple(args, "O&:dense_log_abs_det", zs_dense_out, &a) || !is_square(&a)) return NULL;
    if (!is_ok(zs_dense_log_abs_det((size_t)a.N, a.v.p, &log_abs_det))) return NULL;
    return PyFloat_FromDouble(log_abs_det);
}

static PyObject *dense_eigenvalues(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a, values;
    void *scratch;
    if (!PyArg_ParseTuple(args, "O&O&:dense_eigenvalues", zs_dense_out, &a, zs_dense_out, &values) || !is_square(&a) ||
        !is_double(&values, (size_t)a.N) || !zs_take_filled(zs_dense_eigenvalues_scratch_bytes((size_t)a.N), &scratch))
        return NULL;
    const bool ok = is_ok(zs_dense_eigenvalues((size_t)a.N, a.v.p, values.v.p, scratch));
    zs_free_aligned(scratch);
    return ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *dense_qr(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a, r;
    void *scratch;
    if (!PyArg_ParseTuple(args, "O&O&:dense_qr", zs_dense_out, &a, zs_dense_out, &r) || !is_matrix(&a) ||
        !zs_expect(a.N >= a.H, "at least as many rows as columns") || !is_double(&r, (size_t)a.H * (size_t)a.H) ||
        !zs_take_filled(zs_dense_qr_scratch_bytes((size_t)a.N, (size_t)a.H), &scratch))
        return NULL;
    const bool ok = is_ok(zs_dense_qr((size_t)a.N, (size_t)a.H, a.v.p, r.v.p, scratch));
    zs_free_aligned(scratch);
    return ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *dense_singular_values(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a, values;
    void *scratch;
    if (!PyArg_ParseTuple(args, "O&O&:dense_singular_values", zs_dense_out, &a, zs_dense_out, &values) ||
        !is_matrix(&a) || !is_double(&values, (size_t)(a.N < a.H ? a.N : a.H)) ||
        !zs_take_filled(zs_dense_singular_values_scratch_bytes((size_t)a.N, (size_t)a.H), &scratch))
        return NULL;
    const bool ok = is_ok(zs_dense_singular_values((size_t)a.N, (size_t)a.H, a.v.p, values.v.p, scratch));
    zs_free_aligned(scratch);
    return ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *dense_add_gram(PyObject *module, PyObject *args) {
    (void)module;
    zs_array a, c;
    if (!PyArg_ParseTuple(args, "O&O&:dense_add_gram", zs_dense, &a, zs_dense_out, &c) || !is_matrix(&a) ||
        !is_square(&c) || !zs_expect(a.N == c.N, "as many rows in both"))
        return NULL;
    zs_dense_add_gram((size_t)a.N, (size_t)a.H, a.v.p, c.v.p);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_dense[] = {
    {"dense_cholesky", dense_cholesky, METH_VARARGS, "dense_cholesky(a) -> log det; a becomes L below the diagonal"},
    {"dense_log_abs_det", dense_log_abs_det, METH_VARARGS, "dense_log_abs_det(a) -> log |det|; a is overwritten"},
    {"dense_eigenvalues", dense_eigenvalues, METH_VARARGS, "dense_eigenvalues(a, values): a is overwritten"},
    {"dense_qr", dense_qr, METH_VARARGS, "dense_qr(a, r): a becomes Q"},
    {"dense_singular_values", dense_singular_values, METH_VARARGS,
     "dense_singular_values(a, values): a is overwritten"},
    {"dense_add_gram", dense_add_gram, METH_VARARGS, "dense_add_gram(a, c): c += a a^T"},
    {NULL, NULL, 0, NULL},
};
