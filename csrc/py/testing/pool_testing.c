/* zeroshot._testing: pools, global ones among them. */
#include "py/testing/arguments.h"

typedef struct pool {
    zs_kernel_call c;
    zs_pool d;
    int count_include_pad;
} pool;

static const pool POOL = {.c = {.n1 = -1}, .d = {.win = {1, 1, 1, 1, 0, 0, 1, 1}}};

#define POOL_NAMES "kernel", "stride", "padding", ZS_BLOCK
#define POOL_FORMAT "(ii)(ii)(ii)ii"
#define POOL_FIELDS(v)                                                                                              \
    &v.d.win.R, &v.d.win.S, &v.d.win.stride_h, &v.d.win.stride_w, &v.d.win.pad_h, &v.d.win.pad_w, &v.c.n0, &v.c.n1

static bool pool_ready(pool *v, const zs_array *x, const zs_array *y) {
    if (!zs_ready(&v->c, x) || !zs_window_fits(&v->d.win, x, y)) return false;
    v->d.C = x->C, v->d.H = x->H, v->d.W = x->W, v->d.P = y->H, v->d.Q = y->W;
    v->d.count_include_pad = v->count_include_pad;
    return zs_expect(x->C == y->C && 2 * v->d.win.pad_h <= v->d.win.R && 2 * v->d.win.pad_w <= v->d.win.S,
                     "as many channels on both sides, padding of at most half the kernel");
}

static PyObject *max_pool_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$" POOL_FORMAT ":max_pool_fwd",
                                     ZS_NAMES("table", "x", "y", POOL_NAMES), &v.c.table, zs_image, &x, zs_image_out,
                                     &y, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &y))
        return NULL;
    v.c.k.max_pool_fwd(&v.d, v.c.n0, v.c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *max_pool_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    zs_array x, dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$p" POOL_FORMAT ":max_pool_bwd",
                                     ZS_NAMES("table", "x", "dy", "dx", "add", POOL_NAMES), &v.c.table, zs_image, &x,
                                     zs_image, &dy, zs_image_out, &dx, &v.c.add, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &dy) || !zs_expect(zs_alike(&x, &dx), "dx like x"))
        return NULL;
    v.c.k.max_pool_bwd(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, &dx.v, v.c.add);
    Py_RETURN_NONE;
}

static PyObject *max_pool_gate(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    zs_array x, t, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$" POOL_FORMAT ":max_pool_gate",
                                     ZS_NAMES("table", "x", "t", "y", POOL_NAMES), &v.c.table, zs_image, &x, zs_image,
                                     &t, zs_image_out, &y, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &y) || !zs_expect(zs_alike(&x, &t), "t like x"))
        return NULL;
    v.c.k.max_pool_gate(&v.d, v.c.n0, v.c.n1, &x.v, &t.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *avg_pool_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$p" POOL_FORMAT ":avg_pool_fwd",
                                     ZS_NAMES("table", "x", "y", "count_include_pad", POOL_NAMES), &v.c.table, zs_image,
                                     &x, zs_image_out, &y, &v.count_include_pad, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &y))
        return NULL;
    v.c.k.avg_pool_fwd(&v.d, v.c.n0, v.c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *avg_pool_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    zs_array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$pp" POOL_FORMAT ":avg_pool_bwd",
                                     ZS_NAMES("table", "dy", "dx", "add", "count_include_pad", POOL_NAMES), &v.c.table,
                                     zs_image, &dy, zs_image_out, &dx, &v.c.add, &v.count_include_pad,
                                     POOL_FIELDS(v)) ||
        !pool_ready(&v, &dx, &dy))
        return NULL;
    v.c.k.avg_pool_bwd(&v.d, v.c.n0, v.c.n1, &dy.v, &dx.v, v.c.add);
    Py_RETURN_NONE;
}

static bool one_pixel(const zs_array *pixel, const zs_array *full) {
    return zs_expect(pixel->type == full->type && pixel->N == full->N && pixel->C == full->C && pixel->H == 1 &&
                         pixel->W == 1,
                     "an image and its (N, 1, 1, C)");
}

static PyObject *gap_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:gap_fwd", ZS_NAMES("table", "x", "y", ZS_BLOCK), &c.table,
                                     zs_image, &x, zs_image_out, &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !one_pixel(&y, &x))
        return NULL;
    c.k.gap_fwd(zs_shape_of(&x), c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *gap_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$pii:gap_bwd", ZS_NAMES("table", "dy", "dx", "add", ZS_BLOCK),
                                     &c.table, zs_image, &dy, zs_image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &dx) || !one_pixel(&dy, &dx))
        return NULL;
    c.k.gap_bwd(zs_shape_of(&dx), c.n0, c.n1, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_pool[] = {
    ZS_KERNEL(max_pool_fwd), ZS_KERNEL(max_pool_bwd), ZS_KERNEL(max_pool_gate), ZS_KERNEL(avg_pool_fwd),
    ZS_KERNEL(avg_pool_bwd), ZS_KERNEL(gap_fwd),      ZS_KERNEL(gap_bwd),       {NULL, NULL, 0, NULL},
};
