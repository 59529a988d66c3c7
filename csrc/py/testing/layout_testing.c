/* zeroshot._testing: what copies between types and layouts: the images and weights of a caller, in and out. */
#include "py/testing/arguments.h"

static PyObject *cast(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array from, to;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:cast", ZS_NAMES("table", "source", "out"), &c.table, zs_dense,
                                     &from, zs_dense_out, &to) ||
        !zs_find_table(&c, to.type) ||
        !zs_expect(zs_is(&from, NPY_DOUBLE, to.n), "a float64 source of the size of out"))
        return NULL;
    c.k.cast(to.n, from.v.p, to.v.p);
    Py_RETURN_NONE;
}

static zs_dtype dtype_of(const zs_array *a) { return a->type == NPY_DOUBLE ? ZS_F64 : ZS_F32; }

static PyObject *load_images(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:load_images", ZS_NAMES("table", "x", "y"), &c.table, zs_dense,
                                     &x, zs_image_out, &y) ||
        !zs_find_table(&c, y.type) ||
        !zs_expect(zs_is_real(x.type) && x.N == y.N && x.H == y.C && x.W == y.H && x.C == y.W, "x (N, C, H, W)"))
        return NULL;
    c.k.load_images(zs_shape_of(&y), x.N, dtype_of(&x), x.v.p, &y.v);
    Py_RETURN_NONE;
}

static bool is_weight(const zs_array *outside, const zs_array *inside) { /* O x I x R x S and R x S x I x O */
    return zs_expect(outside->N == inside->C && outside->H == inside->W && outside->W == inside->N &&
                         outside->C == inside->H && zs_is_real(outside->type),
                     "(O, I, R, S) and (R, S, I, O)");
}

static zs_tensor tensor_of(const zs_array *outside) {
    return (zs_tensor){.ndim = 4,
                       .O = outside->N,
                       .I = outside->H,
                       .R = outside->W,
                       .S = outside->C,
                       .groups = 1,
                       .size = outside->n,
                       .counted = true};
}

static PyObject *load_weight(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:load_weight", ZS_NAMES("table", "w", "out"), &c.table,
                                     zs_dense, &w, zs_dense_out, &out) ||
        !zs_find_table(&c, out.type) || !is_weight(&w, &out))
        return NULL;
    const zs_tensor t = tensor_of(&w);
    c.k.load_weight(&t, dtype_of(&w), w.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *store_weight(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:store_weight", ZS_NAMES("table", "w", "out"), &c.table,
                                     zs_dense, &w, zs_dense_out, &out) ||
        !zs_find_table(&c, w.type) || !is_weight(&out, &w) || !zs_expect(out.type == NPY_DOUBLE, "a float64 out"))
        return NULL;
    const zs_tensor t = tensor_of(&out);
    c.k.store_weight(&t, w.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *store_vector(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:store_vector", ZS_NAMES("table", "w", "out"), &c.table,
                                     zs_dense, &w, zs_dense_out, &out) ||
        !zs_find_table(&c, w.type) || !zs_expect(zs_is(&out, NPY_DOUBLE, w.n), "a float64 out of the size of w"))
        return NULL;
    c.k.store_vector(w.n, w.v.p, out.v.p);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_layout[] = {
    ZS_KERNEL(cast),         ZS_KERNEL(load_images),  ZS_KERNEL(load_weight),
    ZS_KERNEL(store_weight), ZS_KERNEL(store_vector), {NULL, NULL, 0, NULL},
};
