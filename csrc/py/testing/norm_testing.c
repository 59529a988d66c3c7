/* zeroshot._testing: batch norm and ReLU. */
#include "py/testing/arguments.h"

static PyObject *bn_stats(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, mean, m2;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ii:bn_stats",
                                     ZS_NAMES("table", "x", "mean", "m2", ZS_BLOCK), &c.table, zs_image, &x,
                                     zs_dense_out, &mean, zs_dense_out, &m2, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) ||
        !zs_expect(zs_is(&mean, NPY_DOUBLE, (size_t)x.C) && zs_is(&m2, NPY_DOUBLE, (size_t)x.C),
                   "float64 mean and m2 of C"))
        return NULL;
    c.k.bn_stats(zs_shape_of(&x), c.n0, c.n1, &x.v, mean.v.p, m2.v.p);
    Py_RETURN_NONE;
}

static PyObject *bn_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, coef, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ii:bn_fwd", ZS_NAMES("table", "x", "coef", "y", ZS_BLOCK),
                                     &c.table, zs_image, &x, zs_dense, &coef, zs_image_out, &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) ||
        !zs_expect(zs_alike(&x, &y) && zs_is(&coef, x.type, 3 * (size_t)x.C), "y like x, coef (3, C)"))
        return NULL;
    c.k.bn_fwd(zs_shape_of(&x), c.n0, c.n1, &x.v, coef.v.p, &y.v);
    Py_RETURN_NONE;
}

static PyObject *bn_bwd_sums(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array dy, x, coef, s1, s2;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&O&|$ii:bn_bwd_sums",
                                     ZS_NAMES("table", "dy", "x", "coef", "s1", "s2", ZS_BLOCK), &c.table, zs_image,
                                     &dy, zs_image, &x, zs_dense, &coef, zs_dense_out, &s1, zs_dense_out, &s2, &c.n0,
                                     &c.n1) ||
        !zs_ready(&c, &x) ||
        !zs_expect(zs_alike(&x, &dy) && zs_is(&coef, x.type, 3 * (size_t)x.C), "dy like x, coef (3, C)") ||
        !zs_expect(zs_is(&s1, NPY_DOUBLE, (size_t)x.C) && zs_is(&s2, NPY_DOUBLE, (size_t)x.C),
                   "float64 s1 and s2 of C"))
        return NULL;
    c.k.bn_bwd_sums(zs_shape_of(&x), c.n0, c.n1, &dy.v, &x.v, coef.v.p, s1.v.p, s2.v.p);
    Py_RETURN_NONE;
}

static PyObject *bn_bwd_x(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array dy, x, coef, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$pii:bn_bwd_x",
                                     ZS_NAMES("table", "dy", "x", "coef", "dx", "add", ZS_BLOCK), &c.table, zs_image,
                                     &dy, zs_image, &x, zs_dense, &coef, zs_image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) ||
        !zs_expect(zs_alike(&x, &dy) && zs_alike(&x, &dx) && zs_is(&coef, x.type, 4 * (size_t)x.C),
                   "dy, dx like x, coef (4, C)"))
        return NULL;
    c.k.bn_bwd_x(zs_shape_of(&x), c.n0, c.n1, &dy.v, &x.v, coef.v.p, &dx.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *relu_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:relu_fwd", ZS_NAMES("table", "x", "y", ZS_BLOCK),
                                     &c.table, zs_image, &x, zs_image_out, &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !zs_expect(zs_alike(&x, &y), "y like x"))
        return NULL;
    c.k.relu_fwd(zs_shape_of(&x), c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *relu_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array y, dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$pii:relu_bwd",
                                     ZS_NAMES("table", "y", "dy", "dx", "add", ZS_BLOCK), &c.table, zs_image, &y,
                                     zs_image, &dy, zs_image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &y) || !zs_expect(zs_alike(&y, &dy) && zs_alike(&y, &dx), "dy and dx like y"))
        return NULL;
    c.k.relu_bwd(zs_shape_of(&y), c.n0, c.n1, &y.v, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_norm[] = {
    ZS_KERNEL(bn_stats), ZS_KERNEL(bn_fwd),   ZS_KERNEL(bn_bwd_sums), ZS_KERNEL(bn_bwd_x),
    ZS_KERNEL(relu_fwd), ZS_KERNEL(relu_bwd), {NULL, NULL, 0, NULL},
};
