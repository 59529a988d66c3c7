/* zeroshot._testing: what scores gather from gradients: joined parts, moments, signs, histograms, counts, products. */
#include "py/testing/arguments.h"

static PyObject *join(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array parts, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:join", ZS_NAMES("table", "parts", "out"), &c.table, zs_image,
                                     &parts, zs_dense_out, &out) ||
        !zs_find_table(&c, out.type) ||
        !zs_expect(zs_is(&out, parts.type, (size_t)parts.C) && parts.ndim == 2 && parts.v.sn >= 0,
                   "parts (J, n), out (n,)"))
        return NULL;
    c.k.join(out.n, parts.N, (size_t)parts.v.sn, parts.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *moments(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g, mean, m2, sum;
    long long count;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&LO&O&O&:moments",
                                     ZS_NAMES("table", "g", "count", "mean", "m2", "sum"), &c.table, zs_dense, &g,
                                     &count, zs_dense_out, &mean, zs_dense_out, &m2, zs_dense_out_or_none, &sum) ||
        !zs_find_table(&c, g.type) ||
        !zs_expect(zs_is(&mean, NPY_DOUBLE, g.n) && zs_is(&m2, NPY_DOUBLE, g.n) && zs_is_or_none(&sum, NPY_DOUBLE, g.n),
                   "float64 states of the size of g"))
        return NULL;
    c.k.moments(g.n, g.v.p, count, mean.v.p, m2.v.p, sum.v.p);
    Py_RETURN_NONE;
}

static PyObject *signs(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g, sum;
    double tol;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&dO&:signs", ZS_NAMES("table", "g", "tol", "sum"), &c.table,
                                     zs_dense, &g, &tol, zs_dense_out, &sum) ||
        !zs_find_table(&c, g.type) || !zs_expect(zs_is(&sum, NPY_INT32, g.n), "an int32 sum of the size of g"))
        return NULL;
    c.k.signs(g.n, g.v.p, tol, sum.v.p);
    Py_RETURN_NONE;
}

static PyObject *histogram(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g, edges, counts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&:histogram", ZS_NAMES("table", "g", "edges", "counts"),
                                     &c.table, zs_dense, &g, zs_dense, &edges, zs_dense_out, &counts) ||
        !zs_find_table(&c, g.type) ||
        !zs_expect(edges.n > 0 && zs_is(&edges, NPY_DOUBLE, edges.n) && zs_is(&counts, NPY_INT64, edges.n - 1),
                   "float64 edges and one int64 count less"))
        return NULL;
    c.k.histogram(g.n, g.v.p, (int)edges.n, edges.v.p, counts.v.p);
    Py_RETURN_NONE;
}

enum { N_EXPONENTS = 2200 };

static PyObject *exponents(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g, counts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:exponents", ZS_NAMES("table", "g", "counts"), &c.table,
                                     zs_dense, &g, zs_dense_out, &counts) ||
        !zs_find_table(&c, g.type) || !zs_expect(zs_is(&counts, NPY_INT64, N_EXPONENTS), "2200 int64 counts"))
        return NULL;
    c.k.exponents(g.n, g.v.p, counts.v.p);
    Py_RETURN_NONE;
}

static PyObject *product_sums(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array a, d, sums;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ii:product_sums",
                                     ZS_NAMES("table", "a", "d", "sums", ZS_BLOCK), &c.table, zs_image, &a, zs_image,
                                     &d, zs_dense_out, &sums, &c.n0, &c.n1) ||
        !zs_ready(&c, &a) ||
        !zs_expect(zs_alike(&a, &d) && zs_is(&sums, NPY_DOUBLE, (size_t)(c.n1 - c.n0) * (size_t)a.C),
                   "d like a, float64 sums (n1 - n0, C)"))
        return NULL;
    c.k.product_sums(zs_shape_of(&a), c.n0, c.n1, &a.v, &d.v, sums.v.p);
    Py_RETURN_NONE;
}

static PyObject *dot(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:dot", ZS_NAMES("table", "x", "y"), &c.table, zs_dense, &x,
                                     zs_dense, &y) ||
        !zs_find_table(&c, x.type) || !zs_expect(zs_is(&y, x.type, x.n), "y of the size and type of x"))
        return NULL;
    return PyFloat_FromDouble(c.k.dot(x.n, x.v.p, y.v.p));
}

static PyObject *positive_bits(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g, bits;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:positive_bits", ZS_NAMES("table", "g", "bits"), &c.table,
                                     zs_dense, &g, zs_dense_out, &bits) ||
        !zs_find_table(&c, g.type) || !zs_expect(zs_is(&bits, NPY_INT64, (g.n + 63) / 64), "an int64 for 64 elements"))
        return NULL;
    c.k.positive_bits(g.n, g.v.p, bits.v.p);
    Py_RETURN_NONE;
}

static PyObject *hamming(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array a, b;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:hamming", ZS_NAMES("table", "a", "b"), &c.table, zs_dense, &a,
                                     zs_dense, &b) ||
        !zs_find_table(&c, NPY_FLOAT) ||
        !zs_expect(zs_is(&a, NPY_INT64, a.n) && zs_is(&b, NPY_INT64, a.n), "int64 a and b of one size"))
        return NULL;
    return PyLong_FromLongLong(c.k.hamming(a.n, a.v.p, b.v.p));
}

static PyObject *count_of(PyObject *args, PyObject *kwargs, bool is_nonfinite) {
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array g;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&", ZS_NAMES("table", "g"), &c.table, zs_dense, &g) ||
        !zs_find_table(&c, g.type))
        return NULL;
    return PyLong_FromSize_t((is_nonfinite ? c.k.count_nonfinite : c.k.count_nonzero)(g.n, g.v.p));
}

static PyObject *count_nonfinite(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return count_of(args, kwargs, true);
}

static PyObject *count_nonzero(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return count_of(args, kwargs, false);
}

PyMethodDef zs_testing_stats[] = {
    ZS_KERNEL(join),          ZS_KERNEL(moments),         ZS_KERNEL(signs),         ZS_KERNEL(histogram),
    ZS_KERNEL(exponents),     ZS_KERNEL(product_sums),    ZS_KERNEL(hamming),       ZS_KERNEL(dot),
    ZS_KERNEL(positive_bits), ZS_KERNEL(count_nonfinite), ZS_KERNEL(count_nonzero), {NULL, NULL, 0, NULL},
};
