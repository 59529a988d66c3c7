/* zeroshot._testing: products of maps, softmax, norms of single samples, and what goes with them. */
#include "core/arena.h"
#include "py/testing/arguments.h"

static PyObject *matmul(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array a, b, y;
    zs_matmul d = {.heads = 1, .scale = 1.0};
    int a_turned = 0, b_turned = 0;
    void *scratch;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sO&O&O&|$ippdpii:matmul",
            ZS_NAMES("table", "a", "b", "y", "heads", "a_turned", "b_turned", "scale", "add", ZS_BLOCK), &c.table,
            zs_image, &a, zs_image, &b, zs_image_out, &y, &d.heads, &a_turned, &b_turned, &d.scale, &c.add, &c.n0,
            &c.n1) ||
        !zs_ready(&c, &y) ||
        !zs_expect(d.heads > 0 && a.C % d.heads == 0 && b.C % d.heads == 0 && y.C % d.heads == 0, "heads of channels"))
        return NULL;
    const int rows_a = a.H * a.W, rows_b = b.H * b.W, columns_a = a.C / d.heads, columns_b = b.C / d.heads;
    d.a_turned = a_turned, d.b_turned = b_turned;
    d.M = y.H * y.W, d.N = y.C / d.heads, d.K = a_turned ? rows_a : columns_a;
    d.width_a = a.W, d.width_b = b.W, d.width_y = y.W;
    if (!zs_expect(a.type == y.type && b.type == y.type && a.N == y.N && b.N == y.N &&
                       d.M == (a_turned ? columns_a : rows_a) && d.N == (b_turned ? rows_b : columns_b) &&
                       d.K == (b_turned ? columns_b : rows_b),
                   "matrices that fit") ||
        !zs_take_filled(c.k.matmul_scratch_bytes(&d), &scratch))
        return NULL;
    c.k.matmul(&d, c.n0, c.n1, &a.v, &b.v, &y.v, c.add, scratch);
    zs_free_aligned(scratch);
    Py_RETURN_NONE;
}

static bool flat_of(const zs_array *flat, const zs_array *full) {
    return zs_expect(flat->type == full->type && flat->N == full->N && flat->H == 1 && flat->W == 1 &&
                         flat->C == full->C * full->H * full->W,
                     "an image and its (N, 1, 1, C H W)");
}

static PyObject *flatten_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:flatten_fwd", ZS_NAMES("table", "x", "y", ZS_BLOCK),
                                     &c.table, zs_image, &x, zs_image_out, &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !flat_of(&y, &x))
        return NULL;
    c.k.flatten_fwd(zs_shape_of(&x), c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *flatten_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$pii:flatten_bwd",
                                     ZS_NAMES("table", "dy", "dx", "add", ZS_BLOCK), &c.table, zs_image, &dy,
                                     zs_image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &dx) || !flat_of(&dy, &dx))
        return NULL;
    c.k.flatten_bwd(zs_shape_of(&dx), c.n0, c.n1, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *spatial_bias_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array bias, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:spatial_bias_fwd",
                                     ZS_NAMES("table", "bias", "y", ZS_BLOCK), &c.table, zs_dense, &bias, zs_image_out,
                                     &y, &c.n0, &c.n1) ||
        !zs_ready(&c, &y) || !zs_expect(zs_is(&bias, y.type, (size_t)(y.H * y.W)), "a bias for each position"))
        return NULL;
    c.k.spatial_bias_fwd(zs_shape_of(&y), c.n0, c.n1, bias.v.p, &y.v);
    Py_RETURN_NONE;
}

static PyObject *spatial_bias_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array dy, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:spatial_bias_bwd",
                                     ZS_NAMES("table", "dy", "db", ZS_BLOCK), &c.table, zs_image, &dy, zs_dense_out,
                                     &db, &c.n0, &c.n1) ||
        !zs_ready(&c, &dy) || !zs_expect(zs_is(&db, dy.type, (size_t)(dy.H * dy.W)), "a db for each position"))
        return NULL;
    c.k.spatial_bias_bwd(zs_shape_of(&dy), c.n0, c.n1, &dy.v, db.v.p);
    Py_RETURN_NONE;
}

static PyObject *scale_channels(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, gamma, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$pii:scale_channels",
                                     ZS_NAMES("table", "x", "gamma", "y", "add", ZS_BLOCK), &c.table, zs_image, &x,
                                     zs_dense, &gamma, zs_image_out, &y, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !zs_expect(zs_alike(&x, &y) && zs_is(&gamma, x.type, (size_t)x.C), "y like x, gamma (C)"))
        return NULL;
    c.k.scale_channels(zs_shape_of(&x), c.n0, c.n1, &x.v, gamma.v.p, &y.v, c.add);
    Py_RETURN_NONE;
}

static bool runs_of(const zs_array *x, int groups) {
    return zs_expect(groups > 0 && x->C % groups == 0, "groups of channels");
}

static PyObject *softmax_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, y;
    int groups = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$iii:softmax_fwd",
                                     ZS_NAMES("table", "x", "y", "groups", ZS_BLOCK), &c.table, zs_image, &x,
                                     zs_image_out, &y, &groups, &c.n0, &c.n1) ||
        !zs_ready(&c, &x) || !runs_of(&x, groups) || !zs_expect(zs_alike(&x, &y), "y like x"))
        return NULL;
    c.k.softmax_fwd(zs_shape_of(&x), groups, c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *softmax_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array y, dy, dx;
    int groups = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ipii:softmax_bwd",
                                     ZS_NAMES("table", "y", "dy", "dx", "groups", "add", ZS_BLOCK), &c.table, zs_image,
                                     &y, zs_image, &dy, zs_image_out, &dx, &groups, &c.add, &c.n0, &c.n1) ||
        !zs_ready(&c, &y) || !runs_of(&y, groups) ||
        !zs_expect(zs_alike(&y, &dy) && zs_alike(&y, &dx), "dy and dx like y"))
        return NULL;
    c.k.softmax_bwd(zs_shape_of(&y), groups, c.n0, c.n1, &y.v, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *softmax_curve(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array y, t, dy, dx;
    int groups = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$ipii:softmax_curve",
                                     ZS_NAMES("table", "y", "t", "dy", "dx", "groups", "add", ZS_BLOCK), &c.table,
                                     zs_image, &y, zs_image, &t, zs_image, &dy, zs_image_out, &dx, &groups, &c.add,
                                     &c.n0, &c.n1) ||
        !zs_ready(&c, &y) || !runs_of(&y, groups) ||
        !zs_expect(zs_alike(&y, &t) && zs_alike(&y, &dy) && zs_alike(&y, &dx), "t, dy and dx like y"))
        return NULL;
    c.k.softmax_curve(zs_shape_of(&y), groups, c.n0, c.n1, &y.v, &t.v, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

/* groups 0: by position */
static bool norm_ready(zs_kernel_call *c, zs_norm *d, const zs_array *x) {
    if (!zs_ready(c, x)) return false;
    d->shape = zs_shape_of(x);
    d->by_position = d->groups == 0;
    if (d->by_position) d->groups = 1;
    return zs_expect(d->eps > 0, "eps above 0") && runs_of(x, d->groups);
}

static bool by_channel(const zs_array *x, const zs_array *gamma) {
    return zs_expect(zs_is_or_none(gamma, x->type, (size_t)x->C), "None or a value for each channel");
}

static const void *values_of(const zs_array *a) { return a->type < 0 ? NULL : a->v.p; }

static PyObject *norm_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, gamma, beta, y;
    zs_norm d = {.groups = 1, .eps = 1e-5};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$idii:norm_fwd",
                                     ZS_NAMES("table", "x", "gamma", "beta", "y", "groups", "eps", ZS_BLOCK), &c.table,
                                     zs_image, &x, zs_dense_or_none, &gamma, zs_dense_or_none, &beta, zs_image_out, &y,
                                     &d.groups, &d.eps, &c.n0, &c.n1) ||
        !norm_ready(&c, &d, &x) || !by_channel(&x, &gamma) || !by_channel(&x, &beta) ||
        !zs_expect(zs_alike(&x, &y), "y like x"))
        return NULL;
    c.k.norm_fwd(&d, c.n0, c.n1, &x.v, values_of(&gamma), values_of(&beta), &y.v);
    Py_RETURN_NONE;
}

static PyObject *norm_project(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, v, inner, outer, y;
    zs_norm d = {.groups = 1, .eps = 1e-5};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sO&O&O&O&O&|$idpii:norm_project",
            ZS_NAMES("table", "x", "v", "inner", "outer", "y", "groups", "eps", "add", ZS_BLOCK), &c.table, zs_image,
            &x, zs_image, &v, zs_dense_or_none, &inner, zs_dense_or_none, &outer, zs_image_out, &y, &d.groups, &d.eps,
            &c.add, &c.n0, &c.n1) ||
        !norm_ready(&c, &d, &x) || !by_channel(&x, &inner) || !by_channel(&x, &outer) ||
        !zs_expect(zs_alike(&x, &v) && zs_alike(&x, &y), "v and y like x"))
        return NULL;
    c.k.norm_project(&d, c.n0, c.n1, &x.v, &v.v, values_of(&inner), values_of(&outer), &y.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *norm_bwd_params(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, dy, d_gamma, d_beta;
    zs_norm d = {.groups = 1, .eps = 1e-5};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$idii:norm_bwd_params",
                                     ZS_NAMES("table", "x", "dy", "d_gamma", "d_beta", "groups", "eps", ZS_BLOCK),
                                     &c.table, zs_image, &x, zs_image, &dy, zs_dense_out, &d_gamma, zs_dense_out,
                                     &d_beta, &d.groups, &d.eps, &c.n0, &c.n1) ||
        !norm_ready(&c, &d, &x) ||
        !zs_expect(zs_alike(&x, &dy) && zs_is(&d_gamma, NPY_DOUBLE, (size_t)x.C) &&
                       zs_is(&d_beta, NPY_DOUBLE, (size_t)x.C),
                   "dy like x, float64 d_gamma and d_beta of C"))
        return NULL;
    c.k.norm_bwd_params(&d, c.n0, c.n1, &x.v, &dy.v, d_gamma.v.p, d_beta.v.p);
    Py_RETURN_NONE;
}

static PyObject *norm_curve(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array x, t, dy, gamma, dx;
    zs_norm d = {.groups = 1, .eps = 1e-5};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&O&|$idpii:norm_curve",
                                     ZS_NAMES("table", "x", "t", "dy", "gamma", "dx", "groups", "eps", "add", ZS_BLOCK),
                                     &c.table, zs_image, &x, zs_image, &t, zs_image, &dy, zs_dense_or_none, &gamma,
                                     zs_image_out, &dx, &d.groups, &d.eps, &c.add, &c.n0, &c.n1) ||
        !norm_ready(&c, &d, &x) || !by_channel(&x, &gamma) ||
        !zs_expect(zs_alike(&x, &t) && zs_alike(&x, &dy) && zs_alike(&x, &dx), "t, dy and dx like x"))
        return NULL;
    c.k.norm_curve(&d, c.n0, c.n1, &x.v, &t.v, &dy.v, values_of(&gamma), &dx.v, c.add);
    Py_RETURN_NONE;
}

PyMethodDef zs_testing_token[] = {
    ZS_KERNEL(matmul),           ZS_KERNEL(flatten_fwd),    ZS_KERNEL(flatten_bwd),  ZS_KERNEL(spatial_bias_fwd),
    ZS_KERNEL(spatial_bias_bwd), ZS_KERNEL(scale_channels), ZS_KERNEL(softmax_fwd),  ZS_KERNEL(softmax_bwd),
    ZS_KERNEL(softmax_curve),    ZS_KERNEL(norm_fwd),       ZS_KERNEL(norm_project), ZS_KERNEL(norm_bwd_params),
    ZS_KERNEL(norm_curve),       {NULL, NULL, 0, NULL},
};
