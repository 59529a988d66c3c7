/* zeroshot._testing: convolutions and their gradients. Packed weights and scratch are of exactly the sizes
   that the kernels ask for, and full of NaN. */
#include "py/testing/arguments.h"

#include <string.h>

#include "core/arena.h"

typedef struct conv {
    zs_kernel_call c;
    zs_conv2d d;
    int relu;
    const char *algo;
    void *packed, *scratch;
} conv;

static const conv CONV = {.c = {.n1 = -1}, .algo = "direct", .d = {.groups = 1, .win = {1, 1, 1, 1, 0, 0, 1, 1}}};

#define CONV_NAMES "stride", "padding", "dilation", "groups", "relu", "algo", ZS_BLOCK
#define CONV_FORMAT "(ii)(ii)(ii)ipsii"
#define CONV_FIELDS(v)                                                                                              \
    &v.d.win.stride_h, &v.d.win.stride_w, &v.d.win.pad_h, &v.d.win.pad_w, &v.d.win.dil_h, &v.d.win.dil_w,           \
        &v.d.groups, &v.relu, &v.algo, &v.c.n0, &v.c.n1

/* `x` and `y`: the images on either side; w: (R, S, I, K), for the weight gradient `w` is that. */
static bool conv_ready(conv *v, const zs_array *x, const zs_array *w, const zs_array *y) {
    v->d.win.R = w->N;
    v->d.win.S = w->H;
    if (!zs_ready(&v->c, x) || !zs_window_fits(&v->d.win, x, y)) return false;
    const int groups = v->d.groups;
    v->d.C = x->C, v->d.H = x->H, v->d.W = x->W, v->d.K = y->C, v->d.P = y->H, v->d.Q = y->W;
    v->d.relu = v->relu;
    static const char *const algos[ZS_N_ALGOS] = {"direct", "auto", "f4", "f2", "signs"};
    int algo = 0;
    while (algo < ZS_N_ALGOS && strcmp(v->algo, algos[algo]) != 0) algo++;
    if (!zs_expect(algo < ZS_N_ALGOS, "algo 'direct', 'auto', 'f4', 'f2' or 'signs'")) return false;
    v->d.algo = (zs_algo)algo;
    return zs_expect(groups > 0 && w->ndim == 4 && w->type == x->type && w->C == y->C && w->W * groups == x->C &&
                         y->C % groups == 0,
                     "weights (R, S, C / groups, K)");
}

/* Sizes must not depend on `relu`: the engine asks for them before it knows. */
static bool conv_memory(conv *v, const void *w, bool back) {
    zs_conv2d sizing = v->d;
    sizing.relu = false;
    if (!zs_take_filled(v->c.k.conv2d_scratch_bytes(&sizing), &v->scratch)) return false;
    if (!w) return true;
    if (!zs_take_filled(v->c.k.conv2d_packed_bytes(&sizing, back), &v->packed)) return false;
    v->c.k.conv2d_pack(&v->d, w, back, v->packed);
    return true;
}

static PyObject *conv_done(conv *v) {
    zs_free_aligned(v->packed);
    zs_free_aligned(v->scratch);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *conv2d_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    zs_array x, w, bias, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$" CONV_FORMAT ":conv2d_fwd",
                                     ZS_NAMES("table", "x", "w", "bias", "y", CONV_NAMES), &v.c.table, zs_image, &x,
                                     zs_dense, &w, zs_dense_or_none, &bias, zs_image_out, &y, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &y) || !zs_expect(zs_is_or_none(&bias, x.type, (size_t)y.C), "a bias for each output"))
        return NULL;
    if (conv_memory(&v, w.v.p, false))
        v.c.k.conv2d_fwd(&v.d, v.c.n0, v.c.n1, &x.v, v.packed, bias.v.p, &y.v, v.scratch);
    return conv_done(&v);
}

static PyObject *conv2d_bwd_x(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    zs_array dy, w, x, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$p" CONV_FORMAT ":conv2d_bwd_x",
                                     ZS_NAMES("table", "dy", "w", "x", "dx", "add", CONV_NAMES), &v.c.table, zs_image,
                                     &dy, zs_dense, &w, zs_image, &x, zs_image_out, &dx, &v.c.add, CONV_FIELDS(v)) ||
        !conv_ready(&v, &dx, &w, &dy) || !zs_expect(zs_alike(&x, &dx), "x like dx"))
        return NULL;
    if (conv_memory(&v, w.v.p, true))
        v.c.k.conv2d_bwd_x(&v.d, v.c.n0, v.c.n1, &dy.v, v.packed, &x.v, &dx.v, v.c.add, v.scratch);
    return conv_done(&v);
}

static PyObject *conv2d_bwd_w(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    zs_array x, dy, dw, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$" CONV_FORMAT ":conv2d_bwd_w",
                                     ZS_NAMES("table", "x", "dy", "dw", "db", CONV_NAMES), &v.c.table, zs_image, &x,
                                     zs_image, &dy, zs_dense_out, &dw, zs_dense_out_or_none, &db, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &dw, &dy) || !zs_expect(zs_is_or_none(&db, x.type, (size_t)dy.C), "a db for each output"))
        return NULL;
    if (conv_memory(&v, NULL, true)) v.c.k.conv2d_bwd_w(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, dw.v.p, db.v.p, v.scratch);
    return conv_done(&v);
}

/* Both gradients at once: False where the table has no kernel for that, or uses direct sums for these dims. */
static PyObject *conv2d_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    zs_array x, dy, w, dx, dw, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&O&O&|$p" CONV_FORMAT ":conv2d_bwd",
                                     ZS_NAMES("table", "x", "dy", "w", "dx", "dw", "db", "add", CONV_NAMES), &v.c.table,
                                     zs_image, &x, zs_image, &dy, zs_dense, &w, zs_image_out, &dx, zs_dense_out, &dw,
                                     zs_dense_out_or_none, &db, &v.c.add, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &dy) ||
        !zs_expect(zs_alike(&x, &dx) && zs_is(&dw, w.type, w.n), "dx like x, dw like w") ||
        !zs_expect(zs_is_or_none(&db, x.type, (size_t)dy.C), "a db for each output"))
        return NULL;
    if (!v.c.k.conv2d_bwd || v.c.k.conv2d_algo(&v.d) == ZS_ALGO_DIRECT) Py_RETURN_FALSE;
    if (conv_memory(&v, w.v.p, true))
        v.c.k.conv2d_bwd(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, v.packed, &dx.v, v.c.add, dw.v.p, db.v.p, v.scratch);
    PyObject *none = conv_done(&v);
    Py_XDECREF(none);
    return none ? Py_NewRef(Py_True) : NULL;
}

/* Whether these convolutions are computed in another way than by direct sums. */
static PyObject *conv2d_is_fast(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    zs_array x, w, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$" CONV_FORMAT ":conv2d_is_fast",
                                     ZS_NAMES("table", "x", "w", "y", CONV_NAMES), &v.c.table, zs_image, &x, zs_dense,
                                     &w, zs_image, &y, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &y))
        return NULL;
    return PyBool_FromLong(v.c.k.conv2d_algo(&v.d) != ZS_ALGO_DIRECT);
}

PyMethodDef zs_testing_conv2d[] = {
    ZS_KERNEL(conv2d_fwd), ZS_KERNEL(conv2d_bwd_x),   ZS_KERNEL(conv2d_bwd_w),
    ZS_KERNEL(conv2d_bwd), ZS_KERNEL(conv2d_is_fast), {NULL, NULL, 0, NULL},
};
