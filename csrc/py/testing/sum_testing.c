/* zeroshot._testing: sums of scaled and normalised images, the scaling of one, zeros. */
#include "py/testing/arguments.h"

enum { MAX_TERMS = 64 };

static bool get_term(PyObject *obj, const zs_array *y, int group, zs_term *out) {
    zs_array x, bn;
    if (!PyArg_ParseTuple(obj, "O&dO&;terms: expected (x, coef, bn or None) tuples", zs_image, &x, &out->coef,
                          zs_dense_or_none, &bn) ||
        !zs_expect(zs_alike(&x, y) && group > 0, "terms like y, group > 0") ||
        !zs_expect(zs_is_or_none(&bn, y->type, (size_t)((y->N + group - 1) / group) * 3 * (size_t)y->C),
                   "bn (groups, 3, C)"))
        return false;
    out->x = x.v;
    out->bn = bn.v.p;
    return true;
}

static PyObject *sum_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    PyObject *list;
    zs_array y;
    zs_term terms[MAX_TERMS];
    int group = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!O&|$iii:sum_fwd",
                                     ZS_NAMES("table", "terms", "y", "group", ZS_BLOCK), &c.table, &PyList_Type, &list,
                                     zs_image_out, &y, &group, &c.n0, &c.n1) ||
        !zs_ready(&c, &y) || !zs_expect(PyList_GET_SIZE(list) <= MAX_TERMS, "at most 64 terms"))
        return NULL;
    const int n_terms = (int)PyList_GET_SIZE(list);
    for (int i = 0; i < n_terms; i++)
        if (!get_term(PyList_GET_ITEM(list, i), &y, group, &terms[i])) return NULL;
    c.k.sum_fwd(zs_shape_of(&y), c.n0, c.n1, group, n_terms, terms, &y.v);
    Py_RETURN_NONE;
}

static PyObject *scale(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    double coef;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&dO&|$pii:scale",
                                     ZS_NAMES("table", "x", "coef", "y", "add", ZS_BLOCK), &c.table, zs_image, &x,
                                     &coef, zs_image_out, &y, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !zs_expect(zs_alike(&x, &y), "y like x"))
        return NULL;
    c.k.scale(zs_shape_of(&x), c.n0, c.n1, &x.v, coef, &y.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *fill_zero(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&|$ii:fill_zero", ZS_NAMES("table", "y", ZS_BLOCK), &c.table,
                                     zs_image_out, &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &y))
        return NULL;
    c.k.fill_zero(zs_shape_of(&y), c.n0, c.n1, &y.v);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_sum[] = {
    ZS_KERNEL(sum_fwd),
    ZS_KERNEL(scale),
    ZS_KERNEL(fill_zero),
    {NULL, NULL, 0, NULL},
};
