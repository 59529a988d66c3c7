/* zeroshot._testing: what is inside the core, callable from tests: every kernel of every table on NumPy arrays, arena and
   allocator, random numbers and initialisers, builder and plans, and the processor's multiply-add peak.

   Kernels write into the arrays they are given and return None. The dtype is that of the arrays. An *image* is an array
   (N, H, W, C), or (N, C) for one pixel, of any strides as long as channels are neighbours; everything else is dense.
   Shapes are checked here, so that a wrong test raises and never overruns. It links its own copy of the core: its
   allocator's faults are not those of zeroshot._core. */
#include "py/numpy_api.h"

#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/builder.h"
#include "core/init.h"
#include "core/plan.h"
#include "cpu/dispatch.h"

/* --- arguments --------------------------------------------------------------------------------------------------- */

#define NAMES(...) ((char *[]){__VA_ARGS__, NULL})
#define N_BLOCK "n0", "n1" /* keywords of nearly every kernel: the samples of its block */

typedef struct array { /* borrowed from the arguments of the call */
    zs_view v; /* of images */
    int N, H, W, C; /* of images; of others the axes in order, 1 where there is none */
    int ndim;
    size_t n; /* elements */
    int type; /* NumPy's number; -1: None was given */
} array;

static const array NONE = {.type = -1};

static int bad(const char *expected, PyObject *got) {
    PyErr_Format(PyExc_ValueError, "expected %s, got %.200R", expected, got);
    return 0;
}

static bool is_real(int type) { return type == NPY_FLOAT || type == NPY_DOUBLE; }

static int get_array(PyObject *obj, array *out, bool is_image, bool is_output) {
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
    *out = (array){.v.p = PyArray_DATA(a),
                   .N = dims[0],
                   .H = dims[1],
                   .W = dims[2],
                   .C = dims[3],
                   .ndim = ndim,
                   .n = (size_t)PyArray_SIZE(a),
                   .type = PyArray_TYPE(a)};
    if (!is_image) return PyArray_IS_C_CONTIGUOUS(a) ? 1 : bad("a C-contiguous array", obj);

    const npy_intp size = PyArray_ITEMSIZE(a);
    if ((ndim != 2 && ndim != 4) || !is_real(out->type)) return bad("a float32 or float64 array of 2 or 4 axes", obj);
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

/* Converters for PyArg_Parse's O&. */
static int image(PyObject *obj, void *out) { return get_array(obj, out, true, false); }
static int image_out(PyObject *obj, void *out) { return get_array(obj, out, true, true); }
static int image_out_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(array *)out = NONE, 1) : image_out(obj, out);
}
static int dense(PyObject *obj, void *out) { return get_array(obj, out, false, false); }
static int dense_out(PyObject *obj, void *out) { return get_array(obj, out, false, true); }
static int dense_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(array *)out = NONE, 1) : dense(obj, out);
}
static int dense_out_or_none(PyObject *obj, void *out) {
    return obj == Py_None ? (*(array *)out = NONE, 1) : dense_out(obj, out);
}

static bool expect(bool ok, const char *what) {
    if (!ok && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "shapes or dtypes do not fit: expected %s", what);
    return ok;
}

static bool is(const array *a, int type, size_t n) { return a->type == type && a->n == n; }
static bool is_or_none(const array *a, int type, size_t n) { return a->type < 0 || is(a, type, n); }

static bool alike(const array *a, const array *b) {
    return a->type == b->type && a->N == b->N && a->H == b->H && a->W == b->W && a->C == b->C;
}

static zs_shape shape_of(const array *a) { return (zs_shape){a->C, a->H, a->W}; }

/* What kernel calls have in common. */
typedef struct call {
    zs_kernels k;
    const char *table;
    int n0, n1; /* n1 < 0: up to the last sample */
    int add;
} call;

static const call CALL = {.n1 = -1};

static bool find_table(call *c, int type) {
    if (!expect(is_real(type), "float32 or float64")) return false;
    if (zs_cpu_kernels(type == NPY_DOUBLE ? ZS_F64 : ZS_F32, c->table, &c->k)) return true;
    PyErr_Format(PyExc_ValueError, "table: expected one that tables() calls usable, got '%.40s'", c->table);
    return false;
}

static bool ready(call *c, const array *samples) {
    if (c->n1 < 0) c->n1 = samples->N;
    return find_table(c, samples->type) &&
           expect(0 <= c->n0 && c->n0 <= c->n1 && c->n1 <= samples->N, "0 <= n0 <= n1 <= N");
}

/* --- convolution ------------------------------------------------------------------------------------------------- */

typedef struct conv {
    call c;
    zs_conv2d d;
    int relu;
    const char *algo;
    void *packed, *scratch;
} conv;

static const conv CONV = {.c = {.n1 = -1}, .algo = "direct", .d = {.groups = 1, .win = {1, 1, 1, 1, 0, 0, 1, 1}}};

#define CONV_NAMES "stride", "padding", "dilation", "groups", "relu", "algo", N_BLOCK
#define CONV_FORMAT "(ii)(ii)(ii)ipsii"
#define CONV_FIELDS(v)                                                                                              \
    &v.d.win.stride_h, &v.d.win.stride_w, &v.d.win.pad_h, &v.d.win.pad_w, &v.d.win.dil_h, &v.d.win.dil_w,           \
        &v.d.groups, &v.relu, &v.algo, &v.c.n0, &v.c.n1

static bool window_fits(zs_window *win, const array *in, const array *out) {
    zs_error err;
    zs_error_clear(&err);
    int P, Q;
    if (zs_window_infer(win, shape_of(in), &P, &Q, &err) != ZS_OK) {
        PyErr_SetString(PyExc_ValueError, err.text);
        return false;
    }
    return expect(in->N == out->N && out->H == P && out->W == Q && in->type == out->type, "an output that fits");
}

/* `x` and `y`: the images on either side; w: (R, S, I, K), for the weight gradient `w` is that. */
static bool conv_ready(conv *v, const array *x, const array *w, const array *y) {
    v->d.win.R = w->N;
    v->d.win.S = w->H;
    if (!ready(&v->c, x) || !window_fits(&v->d.win, x, y)) return false;
    const int groups = v->d.groups;
    v->d.C = x->C, v->d.H = x->H, v->d.W = x->W, v->d.K = y->C, v->d.P = y->H, v->d.Q = y->W;
    v->d.relu = v->relu;
    static const char *const algos[ZS_N_ALGOS] = {"direct", "auto", "f4", "f2", "signs"};
    int algo = 0;
    while (algo < ZS_N_ALGOS && strcmp(v->algo, algos[algo]) != 0) algo++;
    if (!expect(algo < ZS_N_ALGOS, "algo 'direct', 'auto', 'f4', 'f2' or 'signs'")) return false;
    v->d.algo = (zs_algo)algo;
    return expect(groups > 0 && w->ndim == 4 && w->type == x->type && w->C == y->C && w->W * groups == x->C &&
                      y->C % groups == 0,
                  "weights (R, S, C / groups, K)");
}

static bool take_filled(size_t n_bytes, void **out) {
    *out = zs_alloc_aligned(n_bytes); /* exactly: sanitizers see the byte after it */
    if (!*out)
        PyErr_NoMemory();
    else
        memset(*out, 0xff, n_bytes); /* NaN: nobody may rely on zeros */
    return *out != NULL;
}

/* Sizes must not depend on `relu`: the engine asks for them before it knows. */
static bool conv_memory(conv *v, const void *w) {
    zs_conv2d sizing = v->d;
    sizing.relu = false;
    if (!take_filled(v->c.k.conv2d_scratch_bytes(&sizing), &v->scratch)) return false;
    if (!w) return true;
    if (!take_filled(v->c.k.conv2d_packed_bytes(&sizing), &v->packed)) return false;
    v->c.k.conv2d_pack(&v->d, w, v->packed);
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
    array x, w, bias, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$" CONV_FORMAT ":conv2d_fwd",
                                     NAMES("table", "x", "w", "bias", "y", CONV_NAMES), &v.c.table, image, &x, dense,
                                     &w, dense_or_none, &bias, image_out, &y, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &y) || !expect(is_or_none(&bias, x.type, (size_t)y.C), "a bias for each output"))
        return NULL;
    if (conv_memory(&v, w.v.p)) v.c.k.conv2d_fwd(&v.d, v.c.n0, v.c.n1, &x.v, v.packed, bias.v.p, &y.v, v.scratch);
    return conv_done(&v);
}

static PyObject *conv2d_bwd_x(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    array dy, w, x, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$p" CONV_FORMAT ":conv2d_bwd_x",
                                     NAMES("table", "dy", "w", "x", "dx", "add", CONV_NAMES), &v.c.table, image, &dy,
                                     dense, &w, image, &x, image_out, &dx, &v.c.add, CONV_FIELDS(v)) ||
        !conv_ready(&v, &dx, &w, &dy) || !expect(alike(&x, &dx), "x like dx"))
        return NULL;
    if (conv_memory(&v, w.v.p))
        v.c.k.conv2d_bwd_x(&v.d, v.c.n0, v.c.n1, &dy.v, v.packed, &x.v, &dx.v, v.c.add, v.scratch);
    return conv_done(&v);
}

static PyObject *conv2d_bwd_w(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    array x, dy, dw, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$" CONV_FORMAT ":conv2d_bwd_w",
                                     NAMES("table", "x", "dy", "dw", "db", CONV_NAMES), &v.c.table, image, &x, image,
                                     &dy, dense_out, &dw, dense_out_or_none, &db, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &dw, &dy) || !expect(is_or_none(&db, x.type, (size_t)dy.C), "a db for each output"))
        return NULL;
    if (conv_memory(&v, NULL)) v.c.k.conv2d_bwd_w(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, dw.v.p, db.v.p, v.scratch);
    return conv_done(&v);
}

/* Both gradients at once: False where the table has no kernel for that, or uses direct sums for these dims. */
static PyObject *conv2d_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    array x, dy, w, dx, dw, db;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&O&O&|$p" CONV_FORMAT ":conv2d_bwd",
                                     NAMES("table", "x", "dy", "w", "dx", "dw", "db", "add", CONV_NAMES), &v.c.table,
                                     image, &x, image, &dy, dense, &w, image_out, &dx, dense_out, &dw,
                                     dense_out_or_none, &db, &v.c.add, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &dy) || !expect(alike(&x, &dx) && is(&dw, w.type, w.n), "dx like x, dw like w") ||
        !expect(is_or_none(&db, x.type, (size_t)dy.C), "a db for each output"))
        return NULL;
    if (!v.c.k.conv2d_bwd || v.c.k.conv2d_algo(&v.d) == ZS_ALGO_DIRECT) Py_RETURN_FALSE;
    if (conv_memory(&v, w.v.p))
        v.c.k.conv2d_bwd(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, v.packed, &dx.v, v.c.add, dw.v.p, db.v.p, v.scratch);
    PyObject *none = conv_done(&v);
    Py_XDECREF(none);
    return none ? Py_NewRef(Py_True) : NULL;
}

/* Whether these convolutions are computed in another way than by direct sums. */
static PyObject *conv2d_is_fast(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    conv v = CONV;
    array x, w, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$" CONV_FORMAT ":conv2d_is_fast",
                                     NAMES("table", "x", "w", "y", CONV_NAMES), &v.c.table, image, &x, dense, &w, image,
                                     &y, CONV_FIELDS(v)) ||
        !conv_ready(&v, &x, &w, &y))
        return NULL;
    return PyBool_FromLong(v.c.k.conv2d_algo(&v.d) != ZS_ALGO_DIRECT);
}

/* --- batch norm and ReLU ----------------------------------------------------------------------------------------- */

static PyObject *bn_stats(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, mean, m2;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ii:bn_stats", NAMES("table", "x", "mean", "m2", N_BLOCK),
                                     &c.table, image, &x, dense_out, &mean, dense_out, &m2, &c.n0, &c.n1) ||
        !ready(&c, &x) ||
        !expect(is(&mean, NPY_DOUBLE, (size_t)x.C) && is(&m2, NPY_DOUBLE, (size_t)x.C), "float64 mean and m2 of C"))
        return NULL;
    c.k.bn_stats(shape_of(&x), c.n0, c.n1, &x.v, mean.v.p, m2.v.p);
    Py_RETURN_NONE;
}

static PyObject *bn_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, coef, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$ii:bn_fwd", NAMES("table", "x", "coef", "y", N_BLOCK),
                                     &c.table, image, &x, dense, &coef, image_out, &y, &c.n0, &c.n1) ||
        !ready(&c, &x) || !expect(alike(&x, &y) && is(&coef, x.type, 3 * (size_t)x.C), "y like x, coef (3, C)"))
        return NULL;
    c.k.bn_fwd(shape_of(&x), c.n0, c.n1, &x.v, coef.v.p, &y.v);
    Py_RETURN_NONE;
}

static PyObject *bn_bwd_sums(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array dy, x, coef, s1, s2;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&O&|$ii:bn_bwd_sums",
                                     NAMES("table", "dy", "x", "coef", "s1", "s2", N_BLOCK), &c.table, image, &dy,
                                     image, &x, dense, &coef, dense_out, &s1, dense_out, &s2, &c.n0, &c.n1) ||
        !ready(&c, &x) || !expect(alike(&x, &dy) && is(&coef, x.type, 3 * (size_t)x.C), "dy like x, coef (3, C)") ||
        !expect(is(&s1, NPY_DOUBLE, (size_t)x.C) && is(&s2, NPY_DOUBLE, (size_t)x.C), "float64 s1 and s2 of C"))
        return NULL;
    c.k.bn_bwd_sums(shape_of(&x), c.n0, c.n1, &dy.v, &x.v, coef.v.p, s1.v.p, s2.v.p);
    Py_RETURN_NONE;
}

static PyObject *bn_bwd_x(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array dy, x, coef, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&O&|$pii:bn_bwd_x",
                                     NAMES("table", "dy", "x", "coef", "dx", "add", N_BLOCK), &c.table, image, &dy,
                                     image, &x, dense, &coef, image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !ready(&c, &x) ||
        !expect(alike(&x, &dy) && alike(&x, &dx) && is(&coef, x.type, 4 * (size_t)x.C), "dy, dx like x, coef (4, C)"))
        return NULL;
    c.k.bn_bwd_x(shape_of(&x), c.n0, c.n1, &dy.v, &x.v, coef.v.p, &dx.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *cast(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array from, to;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:cast", NAMES("table", "source", "out"), &c.table, dense,
                                     &from, dense_out, &to) ||
        !find_table(&c, to.type) || !expect(is(&from, NPY_DOUBLE, to.n), "a float64 source of the size of out"))
        return NULL;
    c.k.cast(to.n, from.v.p, to.v.p);
    Py_RETURN_NONE;
}

static PyObject *relu_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:relu_fwd", NAMES("table", "x", "y", N_BLOCK), &c.table,
                                     image, &x, image_out, &y, &c.n0, &c.n1) ||
        !ready(&c, &x) || !expect(alike(&x, &y), "y like x"))
        return NULL;
    c.k.relu_fwd(shape_of(&x), c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *relu_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array y, dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$pii:relu_bwd",
                                     NAMES("table", "y", "dy", "dx", "add", N_BLOCK), &c.table, image, &y, image, &dy,
                                     image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !ready(&c, &y) || !expect(alike(&y, &dy) && alike(&y, &dx), "dy and dx like y"))
        return NULL;
    c.k.relu_bwd(shape_of(&y), c.n0, c.n1, &y.v, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

/* --- pooling and sums -------------------------------------------------------------------------------------------- */

typedef struct pool {
    call c;
    zs_pool d;
    int count_include_pad;
} pool;

static const pool POOL = {.c = {.n1 = -1}, .d = {.win = {1, 1, 1, 1, 0, 0, 1, 1}}};

#define POOL_NAMES "kernel", "stride", "padding", N_BLOCK
#define POOL_FORMAT "(ii)(ii)(ii)ii"
#define POOL_FIELDS(v)                                                                                              \
    &v.d.win.R, &v.d.win.S, &v.d.win.stride_h, &v.d.win.stride_w, &v.d.win.pad_h, &v.d.win.pad_w, &v.c.n0, &v.c.n1

static bool pool_ready(pool *v, const array *x, const array *y) {
    if (!ready(&v->c, x) || !window_fits(&v->d.win, x, y)) return false;
    v->d.C = x->C, v->d.H = x->H, v->d.W = x->W, v->d.P = y->H, v->d.Q = y->W;
    v->d.count_include_pad = v->count_include_pad;
    return expect(x->C == y->C && 2 * v->d.win.pad_h <= v->d.win.R && 2 * v->d.win.pad_w <= v->d.win.S,
                  "as many channels on both sides, padding of at most half the kernel");
}

static PyObject *max_pool_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$" POOL_FORMAT ":max_pool_fwd",
                                     NAMES("table", "x", "y", POOL_NAMES), &v.c.table, image, &x, image_out, &y,
                                     POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &y))
        return NULL;
    v.c.k.max_pool_fwd(&v.d, v.c.n0, v.c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *max_pool_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    array x, dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&|$p" POOL_FORMAT ":max_pool_bwd",
                                     NAMES("table", "x", "dy", "dx", "add", POOL_NAMES), &v.c.table, image, &x, image,
                                     &dy, image_out, &dx, &v.c.add, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &dy) || !expect(alike(&x, &dx), "dx like x"))
        return NULL;
    v.c.k.max_pool_bwd(&v.d, v.c.n0, v.c.n1, &x.v, &dy.v, &dx.v, v.c.add);
    Py_RETURN_NONE;
}

static PyObject *avg_pool_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$p" POOL_FORMAT ":avg_pool_fwd",
                                     NAMES("table", "x", "y", "count_include_pad", POOL_NAMES), &v.c.table, image, &x,
                                     image_out, &y, &v.count_include_pad, POOL_FIELDS(v)) ||
        !pool_ready(&v, &x, &y))
        return NULL;
    v.c.k.avg_pool_fwd(&v.d, v.c.n0, v.c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *avg_pool_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    pool v = POOL;
    array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$pp" POOL_FORMAT ":avg_pool_bwd",
                                     NAMES("table", "dy", "dx", "add", "count_include_pad", POOL_NAMES), &v.c.table,
                                     image, &dy, image_out, &dx, &v.c.add, &v.count_include_pad, POOL_FIELDS(v)) ||
        !pool_ready(&v, &dx, &dy))
        return NULL;
    v.c.k.avg_pool_bwd(&v.d, v.c.n0, v.c.n1, &dy.v, &dx.v, v.c.add);
    Py_RETURN_NONE;
}

static bool one_pixel(const array *pixel, const array *full) {
    return expect(pixel->type == full->type && pixel->N == full->N && pixel->C == full->C && pixel->H == 1 &&
                      pixel->W == 1,
                  "an image and its (N, 1, 1, C)");
}

static PyObject *gap_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$ii:gap_fwd", NAMES("table", "x", "y", N_BLOCK), &c.table,
                                     image, &x, image_out, &y, &c.n0, &c.n1) ||
        !ready(&c, &x) || !one_pixel(&y, &x))
        return NULL;
    c.k.gap_fwd(shape_of(&x), c.n0, c.n1, &x.v, &y.v);
    Py_RETURN_NONE;
}

static PyObject *gap_bwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array dy, dx;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&|$pii:gap_bwd", NAMES("table", "dy", "dx", "add", N_BLOCK),
                                     &c.table, image, &dy, image_out, &dx, &c.add, &c.n0, &c.n1) ||
        !ready(&c, &dx) || !one_pixel(&dy, &dx))
        return NULL;
    c.k.gap_bwd(shape_of(&dx), c.n0, c.n1, &dy.v, &dx.v, c.add);
    Py_RETURN_NONE;
}

enum { MAX_TERMS = 64 };

static bool get_term(PyObject *obj, const array *y, int group, zs_term *out) {
    array x, bn;
    if (!PyArg_ParseTuple(obj, "O&dO&;terms: expected (x, coef, bn or None) tuples", image, &x, &out->coef,
                          dense_or_none, &bn) ||
        !expect(alike(&x, y) && group > 0, "terms like y, group > 0") ||
        !expect(is_or_none(&bn, y->type, (size_t)((y->N + group - 1) / group) * 3 * (size_t)y->C), "bn (groups, 3, C)"))
        return false;
    out->x = x.v;
    out->bn = bn.v.p;
    return true;
}

static PyObject *sum_fwd(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    PyObject *list;
    array y;
    zs_term terms[MAX_TERMS];
    int group = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!O&|$iii:sum_fwd", NAMES("table", "terms", "y", "group", N_BLOCK),
                                     &c.table, &PyList_Type, &list, image_out, &y, &group, &c.n0, &c.n1) ||
        !ready(&c, &y) || !expect(PyList_GET_SIZE(list) <= MAX_TERMS, "at most 64 terms"))
        return NULL;
    const int n_terms = (int)PyList_GET_SIZE(list);
    for (int i = 0; i < n_terms; i++)
        if (!get_term(PyList_GET_ITEM(list, i), &y, group, &terms[i])) return NULL;
    c.k.sum_fwd(shape_of(&y), c.n0, c.n1, group, n_terms, terms, &y.v);
    Py_RETURN_NONE;
}

static PyObject *scale(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, y;
    double coef;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&dO&|$pii:scale",
                                     NAMES("table", "x", "coef", "y", "add", N_BLOCK), &c.table, image, &x, &coef,
                                     image_out, &y, &c.add, &c.n0, &c.n1) ||
        !ready(&c, &x) || !expect(alike(&x, &y), "y like x"))
        return NULL;
    c.k.scale(shape_of(&x), c.n0, c.n1, &x.v, coef, &y.v, c.add);
    Py_RETURN_NONE;
}

static PyObject *fill_zero(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&|$ii:fill_zero", NAMES("table", "y", N_BLOCK), &c.table,
                                     image_out, &y, &c.n0, &c.n1) ||
        !ready(&c, &y))
        return NULL;
    c.k.fill_zero(shape_of(&y), c.n0, c.n1, &y.v);
    Py_RETURN_NONE;
}

/* --- losses ------------------------------------------------------------------------------------------------------ */

static PyObject *loss_of(PyObject *args, PyObject *kwargs, bool is_cross_entropy) {
    call c = CALL;
    array logits, labels, loss, d_logits;
    double weight;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&dO&O&|$ii",
                                     NAMES("table", "logits", "labels", "weight", "loss", "dlogits", N_BLOCK), &c.table,
                                     image, &logits, dense, &labels, &weight, dense_out, &loss, image_out_or_none,
                                     &d_logits, &c.n0, &c.n1) ||
        !ready(&c, &logits) || !expect(logits.H == 1 && logits.W == 1 && logits.C > 0, "logits (N, K)") ||
        !expect(d_logits.type < 0 || alike(&logits, &d_logits), "dlogits like logits") ||
        !expect(is(&labels, NPY_INT64, (size_t)logits.N) && is(&loss, NPY_DOUBLE, (size_t)logits.N),
                "int64 labels and float64 losses of N"))
        return NULL;
    for (size_t i = 0; i < labels.n; i++) {
        const int64_t label = ((const int64_t *)labels.v.p)[i];
        if (!expect(0 <= label && label < logits.C, "labels in [0, K)")) return NULL;
    }
    (is_cross_entropy ? c.k.cross_entropy : c.k.sum_logits)(logits.C, c.n0, c.n1, &logits.v, labels.v.p, weight,
                                                            loss.v.p, &d_logits.v);
    Py_RETURN_NONE;
}

static PyObject *cross_entropy(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, true);
}

static PyObject *sum_logits(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, false);
}

/* --- statistics over gradients ----------------------------------------------------------------------------------- */

static PyObject *join(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array parts, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:join", NAMES("table", "parts", "out"), &c.table, image,
                                     &parts, dense_out, &out) ||
        !find_table(&c, out.type) ||
        !expect(is(&out, parts.type, (size_t)parts.C) && parts.ndim == 2 && parts.v.sn >= 0, "parts (J, n), out (n,)"))
        return NULL;
    c.k.join(out.n, parts.N, (size_t)parts.v.sn, parts.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *moments(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array g, mean, m2, sum;
    long long count;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&LO&O&O&:moments",
                                     NAMES("table", "g", "count", "mean", "m2", "sum"), &c.table, dense, &g, &count,
                                     dense_out, &mean, dense_out, &m2, dense_out_or_none, &sum) ||
        !find_table(&c, g.type) ||
        !expect(is(&mean, NPY_DOUBLE, g.n) && is(&m2, NPY_DOUBLE, g.n) && is_or_none(&sum, NPY_DOUBLE, g.n),
                "float64 states of the size of g"))
        return NULL;
    c.k.moments(g.n, g.v.p, count, mean.v.p, m2.v.p, sum.v.p);
    Py_RETURN_NONE;
}

static PyObject *signs(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array g, sum;
    double tol;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&dO&:signs", NAMES("table", "g", "tol", "sum"), &c.table, dense,
                                     &g, &tol, dense_out, &sum) ||
        !find_table(&c, g.type) || !expect(is(&sum, NPY_INT32, g.n), "an int32 sum of the size of g"))
        return NULL;
    c.k.signs(g.n, g.v.p, tol, sum.v.p);
    Py_RETURN_NONE;
}

static PyObject *histogram(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array g, edges, counts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&O&:histogram", NAMES("table", "g", "edges", "counts"),
                                     &c.table, dense, &g, dense, &edges, dense_out, &counts) ||
        !find_table(&c, g.type) ||
        !expect(edges.n > 0 && is(&edges, NPY_DOUBLE, edges.n) && is(&counts, NPY_INT64, edges.n - 1),
                "float64 edges and one int64 count less"))
        return NULL;
    c.k.histogram(g.n, g.v.p, (int)edges.n, edges.v.p, counts.v.p);
    Py_RETURN_NONE;
}

enum { N_EXPONENTS = 2200 };

static PyObject *exponents(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array g, counts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:exponents", NAMES("table", "g", "counts"), &c.table, dense,
                                     &g, dense_out, &counts) ||
        !find_table(&c, g.type) || !expect(is(&counts, NPY_INT64, N_EXPONENTS), "2200 int64 counts"))
        return NULL;
    c.k.exponents(g.n, g.v.p, counts.v.p);
    Py_RETURN_NONE;
}

static PyObject *count_of(PyObject *args, PyObject *kwargs, bool is_nonfinite) {
    call c = CALL;
    array g;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&", NAMES("table", "g"), &c.table, dense, &g) ||
        !find_table(&c, g.type))
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

/* --- in and out -------------------------------------------------------------------------------------------------- */

static zs_dtype dtype_of(const array *a) { return a->type == NPY_DOUBLE ? ZS_F64 : ZS_F32; }

static PyObject *load_images(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array x, y;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:load_images", NAMES("table", "x", "y"), &c.table, dense, &x,
                                     image_out, &y) ||
        !find_table(&c, y.type) ||
        !expect(is_real(x.type) && x.N == y.N && x.H == y.C && x.W == y.H && x.C == y.W, "x (N, C, H, W)"))
        return NULL;
    c.k.load_images(shape_of(&y), x.N, dtype_of(&x), x.v.p, &y.v);
    Py_RETURN_NONE;
}

static bool is_weight(const array *outside, const array *inside) { /* O x I x R x S and R x S x I x O */
    return expect(outside->N == inside->C && outside->H == inside->W && outside->W == inside->N &&
                      outside->C == inside->H && is_real(outside->type),
                  "(O, I, R, S) and (R, S, I, O)");
}

static zs_tensor tensor_of(const array *outside) {
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
    call c = CALL;
    array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:load_weight", NAMES("table", "w", "out"), &c.table, dense, &w,
                                     dense_out, &out) ||
        !find_table(&c, out.type) || !is_weight(&w, &out))
        return NULL;
    const zs_tensor t = tensor_of(&w);
    c.k.load_weight(&t, dtype_of(&w), w.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *store_weight(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:store_weight", NAMES("table", "w", "out"), &c.table, dense,
                                     &w, dense_out, &out) ||
        !find_table(&c, w.type) || !is_weight(&out, &w) || !expect(out.type == NPY_DOUBLE, "a float64 out"))
        return NULL;
    const zs_tensor t = tensor_of(&out);
    c.k.store_weight(&t, w.v.p, out.v.p);
    Py_RETURN_NONE;
}

static PyObject *store_vector(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = CALL;
    array w, out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&:store_vector", NAMES("table", "w", "out"), &c.table, dense,
                                     &w, dense_out, &out) ||
        !find_table(&c, w.type) || !expect(is(&out, NPY_DOUBLE, w.n), "a float64 out of the size of w"))
        return NULL;
    c.k.store_vector(w.n, w.v.p, out.v.p);
    Py_RETURN_NONE;
}

/* --- arena and allocator ----------------------------------------------------------------------------------------- */

static PyObject *arena_offsets(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *sizes;
    Py_ssize_t missing = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$n:arena_offsets", NAMES("sizes", "missing"), &PyList_Type,
                                     &sizes, &missing))
        return NULL;
    const Py_ssize_t n = PyList_GET_SIZE(sizes);
    zs_arena arena = {0};
    size_t capacity = 0;
    char *base = NULL;
    PyObject *offsets = PyList_New(n);
    for (int take = 0; offsets && take < 2; take++) { /* measure, then take */
        if (take) {
            if (arena.overflow) {
                PyErr_SetString(PyExc_OverflowError, "sizes: their sum does not fit in size_t");
                goto fail;
            }
            capacity = arena.used > (size_t)missing ? arena.used - (size_t)missing : 0;
            base = zs_alloc_aligned(capacity);
            if (!base) {
                PyErr_NoMemory();
                goto fail;
            }
            zs_arena_start(&arena, base, capacity);
        }
        for (Py_ssize_t i = 0; i < n; i++) {
            const size_t size = PyLong_AsSize_t(PyList_GET_ITEM(sizes, i));
            if (PyErr_Occurred()) goto fail;
            char *p = zs_arena_take(&arena, size);
            if (!take) continue;
            if (p) memset(p, (int)(i & 0xff), size);
            PyObject *offset = p ? PyLong_FromSsize_t(p - base) : Py_NewRef(Py_None);
            if (!offset) goto fail;
            PyList_SET_ITEM(offsets, i, offset);
        }
    }
    zs_arena_start(&arena, base, capacity); /* leaves nothing poisoned */
    zs_free_aligned(base);
    return offsets ? Py_BuildValue("(Nn)", offsets, (Py_ssize_t)capacity) : NULL;
fail:
    if (base) zs_arena_start(&arena, base, capacity);
    zs_free_aligned(base);
    Py_XDECREF(offsets);
    return NULL;
}

static PyObject *alloc_fail_after(PyObject *module, PyObject *args) {
    (void)module;
    long k;
    int persistent = 0;
    if (!PyArg_ParseTuple(args, "l|p:alloc_fail_after", &k, &persistent)) return NULL;
    zs_alloc_fail_after(k, persistent);
    Py_RETURN_NONE;
}

static PyObject *alloc_count(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong(zs_alloc_count());
}

/* --- random numbers and initialisers ----------------------------------------------------------------------------- */

static PyObject *new_vector(Py_ssize_t n, int type) {
    npy_intp dims[1] = {n};
    return PyArray_SimpleNew(1, dims, type);
}

static PyObject *rng_u32(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long seed;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "Kn:rng_u32", &seed, &n)) return NULL;
    PyObject *out = new_vector(n, NPY_UINT32);
    if (!out) return NULL;
    zs_rng rng;
    zs_rng_seed(&rng, seed);
    for (Py_ssize_t i = 0; i < n; i++) ((uint32_t *)PyArray_DATA((PyArrayObject *)out))[i] = zs_rng_u32(&rng);
    return out;
}

/* Consecutive draws from one stream, so that what one of them leaves behind is seen. */
static PyObject *rng_draws(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long seed;
    PyObject *draws;
    if (!PyArg_ParseTuple(args, "KO!:rng_draws", &seed, &PyList_Type, &draws)) return NULL;
    PyObject *out = PyList_New(PyList_GET_SIZE(draws));
    zs_rng rng;
    zs_rng_seed(&rng, seed);
    for (Py_ssize_t i = 0; out && i < PyList_GET_SIZE(draws); i++) {
        const char *kind;
        Py_ssize_t n;
        double a, b;
        PyObject *values = NULL;
        if (PyArg_ParseTuple(PyList_GET_ITEM(draws, i), "sndd;draws: expected (kind, n, a, b) tuples", &kind, &n, &a,
                             &b))
            values = new_vector(n, NPY_FLOAT);
        if (!values) {
            Py_CLEAR(out);
            break;
        }
        float *data = PyArray_DATA((PyArrayObject *)values);
        if (strcmp(kind, "uniform") == 0)
            zs_rng_uniform_f32(&rng, (size_t)n, a, b, data);
        else
            zs_rng_normal_f32(&rng, (size_t)n, a, b, data);
        PyList_SET_ITEM(out, i, values);
    }
    return out;
}

static PyObject *rng_at(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long seed, stream, index;
    if (!PyArg_ParseTuple(args, "KKK:rng_at", &seed, &stream, &index)) return NULL;
    return PyFloat_FromDouble(zs_rng_at(seed, stream, index));
}

static PyObject *init_kinds(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *out = PyList_New(ZS_N_INITS);
    for (int i = 0; out && i < ZS_N_INITS; i++) {
        PyObject *name = PyUnicode_FromString(zs_init_name(i));
        if (!name)
            Py_CLEAR(out);
        else
            PyList_SET_ITEM(out, i, name);
    }
    return out;
}

static int role_by_name(const char *name) {
    for (int r = 0; r < ZS_N_ROLES; r++)
        if (strcmp(zs_role_name((zs_role)r), name) == 0) return r;
    return -1;
}

/* A tensor from (role, shape, fan_in), and the array it is drawn into. */
static PyObject *get_tensor(PyObject *obj, zs_init_shape *s) {
    const char *role;
    PyObject *shape;
    if (!PyArg_ParseTuple(obj, "sO!i;tensors: expected (role, shape, fan_in) tuples", &role, &PyTuple_Type, &shape,
                          &s->fan_in))
        return NULL;
    const int ndim = (int)PyTuple_GET_SIZE(shape), r = role_by_name(role);
    npy_intp dims[4] = {1, 1, 1, 1};
    for (int i = 0; i < ndim && i < 4; i++) {
        dims[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        if (!expect(0 < dims[i] && dims[i] < 1 << 20, "axes from 1 to 2^20")) return NULL;
    }
    const bool is_whole = r != ZS_ROLE_WEIGHT || s->fan_in == dims[1] * dims[2] * dims[3];
    if (!expect(r >= 0 && ndim <= 4 && s->fan_in > 0 && is_whole, "a role, at most 4 axes and their fan-in"))
        return NULL;
    s->O = (int)dims[0], s->I = (int)dims[1], s->R = (int)dims[2], s->S = (int)dims[3];
    s->role = (zs_role)r;
    return PyArray_SimpleNew(ndim, dims, NPY_FLOAT);
}

static PyObject *init_all(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *list, *arrays = NULL;
    const char *kind_name;
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "O!sK:init_all", &PyList_Type, &list, &kind_name, &seed)) return NULL;
    const int kind = zs_init_by_name(kind_name);
    if (kind < 0) return PyErr_Format(PyExc_ValueError, "kind: unknown initialiser '%.40s'", kind_name);
    const size_t n = (size_t)PyList_GET_SIZE(list);
    zs_init_shape *shapes = zs_calloc(n, sizeof *shapes);
    float **outs = zs_calloc(n, sizeof *outs);
    void *scratch = NULL;
    if (!shapes || !outs) {
        PyErr_NoMemory();
        goto done;
    }
    arrays = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; arrays && i < n; i++) {
        PyObject *a = get_tensor(PyList_GET_ITEM(list, (Py_ssize_t)i), &shapes[i]);
        if (!a) {
            Py_CLEAR(arrays);
            goto done;
        }
        outs[i] = PyArray_DATA((PyArrayObject *)a);
        PyList_SET_ITEM(arrays, (Py_ssize_t)i, a);
    }
    if (!arrays || !take_filled(zs_init_scratch_bytes(shapes, n, kind), &scratch))
        Py_CLEAR(arrays);
    else
        zs_init_all(shapes, n, kind, seed, outs, scratch);
done:
    zs_free(shapes);
    zs_free(outs);
    zs_free_aligned(scratch);
    return arrays;
}

/* --- graphs and plans -------------------------------------------------------------------------------------------- */

/* An attribute as a number, or one of a pair (index 0 or 1); what is absent keeps its default. */
static void get_attr(PyObject *attrs, const char *name, int index, int *out) {
    PyObject *value = PyDict_GetItemString(attrs, name);
    if (!value || PyErr_Occurred()) return;
    if (PyTuple_Check(value) && index < PyTuple_GET_SIZE(value)) value = PyTuple_GET_ITEM(value, index);
    const long n = PyLong_AsLong(value);
    *out = n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : (int)n;
}

static bool get_attrs(PyObject *attrs, zs_op_kind op, zs_attrs *a) {
    *a = zs_attrs_default();
    int bias = a->bias, include = a->count_include_pad, affine = a->affine;
    get_attr(attrs, op == ZS_OP_LINEAR ? "out_features" : "out_channels", 0, &a->K);
    get_attr(attrs, "groups", 0, &a->groups);
    get_attr(attrs, "bias", 0, &bias);
    get_attr(attrs, "count_include_pad", 0, &include);
    get_attr(attrs, "affine", 0, &affine);
    if (op == ZS_OP_ZERO)
        get_attr(attrs, "stride", 0, &a->stride);
    else {
        const struct {
            const char *name;
            int *h, *w;
        } pairs[] = {
            {"kernel", &a->window.R, &a->window.S},
            {"stride", &a->window.stride_h, &a->window.stride_w},
            {"padding", &a->window.pad_h, &a->window.pad_w},
            {"dilation", &a->window.dil_h, &a->window.dil_w},
        };
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            get_attr(attrs, pairs[i].name, 0, pairs[i].h);
            get_attr(attrs, pairs[i].name, 1, pairs[i].w);
        }
    }
    a->bias = bias, a->count_include_pad = include, a->affine = affine;
    PyObject *eps = PyDict_GetItemString(attrs, "eps"), *mode = PyDict_GetItemString(attrs, "mode");
    if (eps) a->eps = PyFloat_AsDouble(eps);
    const char *text = mode ? PyUnicode_AsUTF8(mode) : "batch";
    if (text) a->bn_mode = (zs_bn_mode)zs_bn_mode_by_name(text);
    return !PyErr_Occurred();
}

static PyObject *raise_error(const zs_error *err) {
    PyErr_SetString(err->status == ZS_ENOMEM ? PyExc_MemoryError : PyExc_ValueError, err->text);
    return NULL;
}

enum { MAX_INPUTS = 256 };

static bool add_node(zs_builder *b, PyObject *node) {
    const char *op, *name;
    PyObject *inputs, *attrs;
    int ids[MAX_INPUTS];
    double coefs[MAX_INPUTS];
    zs_attrs a;
    if (!PyArg_ParseTuple(node, "ssO!O!", &op, &name, &PyTuple_Type, &inputs, &PyDict_Type, &attrs) ||
        !expect(PyTuple_GET_SIZE(inputs) <= MAX_INPUTS, "at most 256 inputs") ||
        !get_attrs(attrs, (zs_op_kind)zs_op_by_name(op), &a))
        return false;
    PyObject *coef = PyDict_GetItemString(attrs, "coef");
    const int n = (int)PyTuple_GET_SIZE(inputs);
    if (!expect(!coef || (PyList_Check(coef) && PyList_GET_SIZE(coef) == n), "a list of one coef for each input"))
        return false;
    for (int i = 0; i < n; i++) {
        ids[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(inputs, i));
        coefs[i] = coef ? PyFloat_AsDouble(PyList_GET_ITEM(coef, i)) : 1.0;
    }
    if (PyErr_Occurred()) return false;
    zs_builder_add(b, (zs_op_kind)zs_op_by_name(op), name, n, ids, coefs, &a);
    return true;
}

/* From ((C, H, W), [(op, name, inputs, attrs), ...]), of which the last is the output; NULL with an exception. */
static zs_graph *make_graph(PyObject *network) {
    zs_graph *graph = NULL;
    zs_shape in;
    PyObject *nodes;
    zs_error err;
    zs_error_clear(&err);
    if (!PyArg_ParseTuple(network, "(iii)O!;network: expected ((C, H, W), list of nodes)", &in.C, &in.H, &in.W,
                          &PyList_Type, &nodes))
        return NULL;
    const int n = (int)PyList_GET_SIZE(nodes);
    zs_builder *b = zs_builder_make(in, &err);
    for (int i = 0; b && i < n; i++)
        if (!add_node(b, PyList_GET_ITEM(nodes, i))) {
            zs_builder_free(b);
            return NULL;
        }
    if (!b || zs_builder_finish(b, n, &graph, &err) != ZS_OK) raise_error(&err);
    return graph;
}

/* Appends value, which is stolen; false with an exception. */
static bool append(PyObject *list, PyObject *value) {
    const bool ok = list && value && PyList_Append(list, value) == 0;
    Py_XDECREF(value);
    return ok;
}

static const char *const KIND_NAMES[] = {"skip", "fill", "view", "lazy", "run"};

static PyObject *describe_plan(const zs_plan *p) {
    PyObject *kinds = PyList_New(0), *storages = PyList_New(0), *out = NULL;
    const size_t samples = (size_t)p->spec.group_size * (size_t)p->spec.n_groups;
    bool ok = true;
    for (int i = 0; ok && i < p->graph->n_nodes; i++)
        ok = append(kinds, PyUnicode_FromString(KIND_NAMES[p->nodes[i].kind]));
    for (int i = 0; ok && i < p->n_storages; i++) {
        const zs_storage *s = &p->storages[i];
        const size_t n_bytes = s->elements * samples * zs_dtype_size(p->spec.kernels->dtype);
        if (s->last >= 0)
            ok = append(storages,
                        Py_BuildValue("(nnii)", (Py_ssize_t)s->offset, (Py_ssize_t)n_bytes, s->first, s->last));
    }
    if (ok)
        out = Py_BuildValue("{s:n,s:n,s:n,s:i,s:i,s:L,s:O,s:O,s:O,s:O}", "pool_bytes", (Py_ssize_t)p->pool_bytes,
                            "scratch_bytes", (Py_ssize_t)p->scratch_bytes, "partial_bytes",
                            (Py_ssize_t)p->partial_bytes, "n_steps", p->n_steps, "n_forward_steps", p->n_forward_steps,
                            "macs", (long long)p->macs, "has_path", p->has_path ? Py_True : Py_False, "disjoint",
                            zs_plan_disjoint(p) ? Py_True : Py_False, "kinds", kinds, "storages", storages);
    Py_XDECREF(kinds);
    Py_XDECREF(storages);
    return out;
}

static PyObject *plan_info(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *network, *out = NULL;
    int group_size = 1, n_groups = 1, backward = 1, dead = 0, all_params = 0, is_f64 = 0, recompute = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O|$iippppi:plan_info",
            NAMES("network", "group_size", "n_groups", "backward", "dead", "all_params", "float64", "recompute"),
            &network, &group_size, &n_groups, &backward, &dead, &all_params, &is_f64, &recompute) ||
        !expect(group_size > 0 && n_groups > 0, "group_size and n_groups above 0"))
        return NULL;
    zs_graph *graph = make_graph(network);
    if (!graph) return NULL;
    zs_kernels kernels;
    zs_cpu_kernels(is_f64 ? ZS_F64 : ZS_F32, "reference", &kernels);
    const zs_plan_spec spec = {.kernels = &kernels,
                               .group_size = group_size,
                               .n_groups = n_groups,
                               .backward = backward,
                               .dead = dead,
                               .recompute = (zs_recompute)recompute,
                               .all_params = all_params};
    zs_plan *plan = NULL;
    zs_error err;
    zs_error_clear(&err);
    if (zs_plan_make(graph, &spec, &plan, &err) == ZS_OK)
        out = describe_plan(plan);
    else
        raise_error(&err);
    zs_plan_free(plan);
    zs_graph_free(graph);
    return out;
}

/* --- the processor's peak ---------------------------------------------------------------------------------------- */

/* n times `width` independent multiply-adds on vectors of `bytes`: more than latency x units, fewer than registers. */
#define FMA_LOOP(name, isa, bytes, width)                                                                           \
    isa __attribute__((noinline)) static float name(long n, float factor, float term) {                             \
        typedef float vec __attribute__((vector_size(bytes)));                                                      \
        vec sums[width];                                                                                            \
        for (int j = 0; j < width; j++) sums[j] = (vec){0} + (float)j;                                              \
        const vec m = (vec){0} + factor, c = (vec){0} + term;                                                       \
        for (long i = 0; i < n; i++)                                                                                \
            for (int j = 0; j < width; j++) sums[j] = sums[j] * m + c;                                              \
        for (int j = 1; j < width; j++) sums[0] += sums[j];                                                         \
        return sums[0][0];                                                                                          \
    }

FMA_LOOP(fma_baseline, , 16, 12)
#ifdef __x86_64__
FMA_LOOP(fma_avx2, __attribute__((target("avx2,fma"))), 32, 12)
FMA_LOOP(fma_avx512, __attribute__((target("avx512f,fma"))), 64, 16)
#endif

typedef struct fma_loop {
    const char *table;
    float (*run)(long n, float factor, float term);
    int lanes, width;
} fma_loop;

static const fma_loop FMA_LOOPS[] = {
    {"baseline", fma_baseline, 4, 12},
#ifdef __x86_64__
    {"avx2", fma_avx2, 8, 12},
    {"avx512", fma_avx512, 16, 16},
#endif
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static PyObject *fma_peak(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    call c = {.table = "auto"};
    double seconds = 0.2, best = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|sd:fma_peak", NAMES("table", "seconds"), &c.table, &seconds) ||
        !find_table(&c, NPY_FLOAT))
        return NULL;
    const fma_loop *loop = &FMA_LOOPS[0]; /* the reference and neon, too */
    for (size_t i = 0; i < sizeof FMA_LOOPS / sizeof *FMA_LOOPS; i++)
        if (strcmp(FMA_LOOPS[i].table, c.k.name) == 0) loop = &FMA_LOOPS[i];
    const long n = 100000; /* about 0.3 ms */
    volatile float factor = 0.999f, term = 0.001f, sink;
    const double ops = 2.0 * (double)n * loop->lanes * loop->width;
    Py_BEGIN_ALLOW_THREADS
    for (const double end = now() + seconds; now() < end;) {
        const double start = now();
        sink = loop->run(n, factor, term);
        const double rate = ops / (now() - start);
        if (rate > best) best = rate;
    }
    (void)sink;
    Py_END_ALLOW_THREADS
    return PyFloat_FromDouble(best * 1e-9);
}

/* --- the module -------------------------------------------------------------------------------------------------- */

static PyObject *tables(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *out = PyList_New(0);
    for (int i = 0; out && i < zs_cpu_n_tables(); i++)
        if (!append(out, Py_BuildValue("(sO)", zs_cpu_table_name(i), zs_cpu_table_usable(i) ? Py_True : Py_False)))
            Py_CLEAR(out);
    return out;
}

#define KERNEL(name) {#name, (PyCFunction)(void (*)(void))name, METH_VARARGS | METH_KEYWORDS, NULL}

static PyMethodDef methods[] = {
    {"tables", tables, METH_NOARGS, "tables() -> list of (name, usable here), best last"},
    KERNEL(conv2d_fwd),
    KERNEL(conv2d_bwd_x),
    KERNEL(conv2d_bwd_w),
    KERNEL(conv2d_bwd),
    KERNEL(conv2d_is_fast),
    KERNEL(bn_stats),
    KERNEL(bn_fwd),
    KERNEL(bn_bwd_sums),
    KERNEL(bn_bwd_x),
    KERNEL(cast),
    KERNEL(relu_fwd),
    KERNEL(relu_bwd),
    KERNEL(max_pool_fwd),
    KERNEL(max_pool_bwd),
    KERNEL(avg_pool_fwd),
    KERNEL(avg_pool_bwd),
    KERNEL(gap_fwd),
    KERNEL(gap_bwd),
    KERNEL(sum_fwd),
    KERNEL(scale),
    KERNEL(fill_zero),
    KERNEL(cross_entropy),
    KERNEL(sum_logits),
    KERNEL(join),
    KERNEL(moments),
    KERNEL(signs),
    KERNEL(histogram),
    KERNEL(exponents),
    KERNEL(count_nonfinite),
    KERNEL(count_nonzero),
    KERNEL(load_images),
    KERNEL(load_weight),
    KERNEL(store_weight),
    KERNEL(store_vector),
    {"arena_offsets", (PyCFunction)(void (*)(void))arena_offsets, METH_VARARGS | METH_KEYWORDS,
     "arena_offsets(sizes, *, missing=0) -> (offsets, capacity): measure, then take with `missing` bytes too few"},
    {"alloc_fail_after", alloc_fail_after, METH_VARARGS,
     "alloc_fail_after(k, persistent=False): allocation k from now (0: the next) fails; k < 0: none"},
    {"alloc_count", alloc_count, METH_NOARGS, "alloc_count() -> allocations since alloc_fail_after"},
    {"rng_u32", rng_u32, METH_VARARGS, "rng_u32(seed, n) -> first n words of the stream"},
    {"rng_draws", rng_draws, METH_VARARGS, "rng_draws(seed, [(\"uniform\" or \"normal\", n, a, b), ...]) -> arrays"},
    {"rng_at", rng_at, METH_VARARGS, "rng_at(seed, stream, index) -> float in [0, 1)"},
    {"init_kinds", init_kinds, METH_NOARGS, "init_kinds() -> list of names"},
    {"init_all", init_all, METH_VARARGS, "init_all([(role, shape, fan_in), ...], kind, seed) -> arrays"},
    {"plan_info", (PyCFunction)(void (*)(void))plan_info, METH_VARARGS | METH_KEYWORDS,
     "plan_info(network, *, group_size=1, n_groups=1, backward=True, dead=False, all_params=False, float64=False, "
     "recompute=0)"},
    {"fma_peak", (PyCFunction)(void (*)(void))fma_peak, METH_VARARGS | METH_KEYWORDS,
     "fma_peak(table='auto', seconds=0.2) -> 10^9 float operations a second of one thread"},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    (void)module;
    return zs_py_numpy_init();
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "zeroshot._testing",
    .m_doc = "The inside of the core, for tests.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__testing(void);

PyMODINIT_FUNC PyInit__testing(void) { return PyModuleDef_Init(&definition); }
