/* Arguments of zeroshot._testing: converters of arrays, checks of shapes, memory of exact size. */
#include "py/testing/arguments.h"

#include <string.h>

#include "core/arena.h"
#include "core/op.h"

static const zs_array NONE = {.type = -1};

static int bad(const char *expected, PyObject *got) {
    PyErr_Format(PyExc_ValueError, "expected %s, got %.200R", expected, got);
    return 0;
}

bool zs_is_real(int type) { return type == NPY_FLOAT || type == NPY_DOUBLE; }

static int get_array(PyObject *obj, zs_array *out, bool is_image, bool is_output) {
    PyArrayObject *const a = (PyArrayObject *)obj;
    if (!PyArray_Check(obj) || PyArray_NDIM(a) > 4 || !PyArray_ISALIGNED(a) || PyArray_ISBYTESWAPPED(a))
        return bad("an aligned native array of at most 4 axes", obj);
    if (is_output && !PyArray_ISWRITEABLE(a)) return bad("a writeable array", obj);
    const int ndim = PyArray_NDIM(a);
    int dims[4] = {1, 1, 1, 1};
    for (int i = 0; i < ndim; i++) {
        if (PyArray_DIM(a, i) > INT32_MAX) return bad("axes below 2^31", obj);
        dims[i] = (int)PyArray_DIM(a, i);
    }
    *out = (zs_array){.v.p = PyArray_DATA(a),
                      .N = dims[0],
                      .H = dims[1],
                      .W = dims[2],
                      .C = dims[3],
                      .ndim = ndim,
                      .n = (size_t)PyArray_SIZE(a),
                      .type = PyArray_TYPE(a)};
    if (!is_image) return PyArray_IS_C_CONTIGUOUS(a) ? 1 : bad("a C-contiguous array", obj);

    const npy_intp size = PyArray_ITEMSIZE(a);
    if ((ndim != 2 && ndim != 4) || !zs_is_real(out->type))
        return bad("a float32 or float64 array of 2 or 4 axes", obj);
    if (PyArray_DIM(a, ndim - 1) != 1 && PyArray_STRIDE(a, ndim - 1) != size)
        return bad("an array whose channels are neighbours", obj);
    for (int i = 0; i < ndim; i++)
        if (PyArray_STRIDE(a, i) % size != 0) return bad("strides of whole elements", obj);
    out->v.sn = PyArray_STRIDE(a, 0) / size;
    if (ndim == 4) {
        out->v.sh = PyArray_STRIDE(a, 1) / size;
        out->v.sw = PyArray_STRIDE(a, 2) / size;
    } else {
        out->C = out->H;
        out->H = out->W = 1;
        out->v.sh = out->v.sw = out->C;
    }
    return 1;
}

int zs_image(PyObject *obj, void *out) { return get_array(obj, out, true, false); }
int zs_image_out(PyObject *obj, void *out) { return get_array(obj, out, true, true); }
int zs_image_out_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(zs_array *)out = NONE, 1) : zs_image_out(obj, out);
}
int zs_dense(PyObject *obj, void *out) { return get_array(obj, out, false, false); }
int zs_dense_out(PyObject *obj, void *out) { return get_array(obj, out, false, true); }
int zs_dense_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(zs_array *)out = NONE, 1) : zs_dense(obj, out);
}
int zs_dense_out_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(zs_array *)out = NONE, 1) : zs_dense_out(obj, out);
}

bool zs_expect(bool ok, const char *what) {
    if (!ok && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "shapes or dtypes do not fit: expected %s", what);
    return ok;
}

bool zs_is(const zs_array *a, int type, size_t n) { return a->type == type && a->n == n; }
bool zs_is_or_none(const zs_array *a, int type, size_t n) { return a->type < 0 || zs_is(a, type, n); }

bool zs_alike(const zs_array *a, const zs_array *b) {
    return a->type == b->type && a->N == b->N && a->H == b->H && a->W == b->W && a->C == b->C;
}

zs_shape zs_shape_of(const zs_array *a) { return (zs_shape){a->C, a->H, a->W}; }

bool zs_find_table(zs_kernel_call *c, int type) {
    if (!zs_expect(zs_is_real(type), "float32 or float64")) return false;
    if (zs_cpu_kernels(type == NPY_DOUBLE ? ZS_F64 : ZS_F32, c->table, &c->k)) return true;
    PyErr_Format(PyExc_ValueError, "table: expected one that tables() calls usable, got '%.40s'", c->table);
    return false;
}

bool zs_ready(zs_kernel_call *c, const zs_array *samples) {
    if (c->n1 < 0) c->n1 = samples->N;
    return zs_find_table(c, samples->type) &&
           zs_expect(0 <= c->n0 && c->n0 <= c->n1 && c->n1 <= samples->N, "0 <= n0 <= n1 <= N");
}

bool zs_window_fits(zs_window *win, const zs_array *in, const zs_array *out) {
    zs_error err;
    zs_error_clear(&err);
    int P, Q;
    if (zs_window_infer(win, zs_shape_of(in), &P, &Q, &err) != ZS_OK) {
        PyErr_SetString(PyExc_ValueError, err.text);
        return false;
    }
    return zs_expect(in->N == out->N && out->H == P && out->W == Q && in->type == out->type, "an output that fits");
}

bool zs_take_filled(size_t n_bytes, void **out) {
    *out = zs_alloc_aligned(n_bytes); /* exactly: sanitizers see the byte after it */
    if (!*out)
        PyErr_NoMemory();
    else
        memset(*out, 0xff, n_bytes); /* NaN: nobody may rely on zeros */
    return *out != NULL;
}

bool zs_append(PyObject *list, PyObject *value) {
    const bool ok = list && value && PyList_Append(list, value) == 0;
    Py_XDECREF(value);
    return ok;
}
