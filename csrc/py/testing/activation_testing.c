/* zeroshot._testing: activations and products. */
#include "py/testing/arguments.h"

typedef struct activation_call {
    zs_kernel_call c;
    const char *f;
    zs_op_kind op;
    zs_array x, bn;
    int group;
} activation_call;

/* The op by its name; bn (groups, 3, C) or None. */
static bool ready(activation_call *v) {
    const int op = zs_op_by_name(v->f);
    if (!zs_expect(op > 0 && zs_is_activation((zs_op_kind)op), "an activation")) return false;
    v->op = (zs_op_kind)op;
    if (!zs_ready(&v->c, &v->x) || !zs_expect(v->group >= 1, "group of 1 or more")) return false;
    const int groups = (v->x.N + v->group - 1) / v->group;
    return zs_expect(zs_is_or_none(&v->bn, v->x.type, 3 * (size_t)v->x.C * (size_t)groups), "bn (groups, 3, C)");
}

static PyObject *activation_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    activation_call v = {.c = ZS_KERNEL_CALL, .group = 1, .bn = {.type = -1}};
    zs_array y;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "ssO&O&|$O&iii:activation_fwd", ZS_NAMES("table", "f", "x", "y", "bn", "group", ZS_BLOCK),
            &v.c.table, &v.f, zs_image, &v.x, zs_image_out, &y, zs_dense_or_none, &v.bn, &v.group, &v.c.n0, &v.c.n1) ||
        !ready(&v) || !zs_expect(zs_alike(&v.x, &y), "y like x"))
        return NULL;
    v.c.k.activation_fwd(v.op, zs_shape_of(&v.x), v.c.n0, v.c.n1, v.group, &v.x.v, v.bn.v.p, &y.v);
    Py_RETURN_NONE;
}

static PyObject *activation_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    activation_call v = {.c = ZS_KERNEL_CALL, .group = 1, .bn = {.type = -1}};
    zs_array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ssO&O&O&|$O&ipii:activation_bwd",
                                     ZS_NAMES("table", "f", "x", "dy", "dx", "bn", "group", "add", ZS_BLOCK),
                                     &v.c.table, &v.f, zs_image, &v.x, zs_image, &dy, zs_image_out, &dx,
                                     zs_dense_or_none, &v.bn, &v.group, &v.c.add, &v.c.n0, &v.c.n1) ||
        !ready(&v) || !zs_expect(zs_alike(&v.x, &dy) && zs_alike(&v.x, &dx), "dy and dx like x"))
        return NULL;
    v.c.k.activation_bwd(v.op, zs_shape_of(&v.x), v.c.n0, v.c.n1, v.group, &v.x.v, v.bn.v.p, &dy.v, &dx.v, v.c.add);
    Py_RETURN_NONE;
}

static PyObject *activation_bwd2(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    activation_call v = {.c = ZS_KERNEL_CALL, .group = 1, .bn = {.type = -1}};
    zs_array t, dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ssO&O&O&O&|$O&ipii:activation_bwd2",
                                     ZS_NAMES("table", "f", "x", "t", "dy", "dx", "bn", "group", "add", ZS_BLOCK),
                                     &v.c.table, &v.f, zs_image, &v.x, zs_image, &t, zs_image, &dy, zs_image_out, &dx,
                                     zs_dense_or_none, &v.bn, &v.group, &v.c.add, &v.c.n0, &v.c.n1) ||
        !ready(&v) ||
        !zs_expect(zs_alike(&v.x, &t) && zs_alike(&v.x, &dy) && zs_alike(&v.x, &dx), "t, dy and dx like x"))
        return NULL;
    v.c.k.activation_bwd2(v.op, zs_shape_of(&v.x), v.c.n0, v.c.n1, v.group, &v.x.v, v.bn.v.p, &t.v, &dy.v, &dx.v,
                          v.c.add);
    Py_RETURN_NONE;
}

/* b's axes are a's or 1. */
static bool spreads(const zs_array *a, const zs_array *b) {
    return zs_expect(a->type == b->type && a->N == b->N && (b->C == a->C || b->C == 1) && (b->H == a->H || b->H == 1) &&
                         (b->W == a->W || b->W == 1),
                     "b like a, or 1 in channels, rows or columns");
}

static PyObject *multiply(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array a, b, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$pii:multiply",
                                     ZS_NAMES("table", "a", "b", "y", "add", ZS_BLOCK), &c.table, zs_image, &a,
                                     zs_image, &b, zs_image_out, &y, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &a) || !spreads(&a, &b) || !zs_expect(zs_alike(&a, &y), "y like a"))
        return NULL;
    if (b.H == 1) b.v.sh = 0;
    if (b.W == 1) b.v.sw = 0;
    c.k.multiply(zs_shape_of(&a), c.n0, c.n1, &a.v, &b.v, b.C == 1, &y.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *multiply_sums(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array a, dy, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$pii:multiply_sums",
                                     ZS_NAMES("table", "a", "dy", "db", "add", ZS_BLOCK), &c.table, zs_image, &a,
                                     zs_image, &dy, zs_image_out, &db, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &a) || !zs_expect(zs_alike(&a, &dy), "dy like a") || !spreads(&a, &db))
        return NULL;
    c.k.multiply_sums(zs_shape_of(&a), zs_shape_of(&db), c.n0, c.n1, &a.v, &dy.v, &db.v, c.add);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_activation[] = {
    ZS_KERNEL(activation_fwd), ZS_KERNEL(activation_bwd), ZS_KERNEL(activation_bwd2),
    ZS_KERNEL(multiply),       ZS_KERNEL(multiply_sums),  {NULL, NULL, 0, NULL},
};
