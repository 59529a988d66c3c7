/* zeroshot._testing: random numbers and initialisers. */
#include "py/testing/arguments.h"

#include <string.h>

#include "core/arena.h"
#include "core/init.h"

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
        if (!zs_expect(0 < dims[i] && dims[i] < 1 << 20, "axes from 1 to 2^20")) return NULL;
    }
    const bool is_whole = r != ZS_ROLE_WEIGHT || s->fan_in == dims[1] * dims[2] * dims[3];
    if (!zs_expect(r >= 0 && ndim <= 4 && s->fan_in > 0 && is_whole, "a role, at most 4 axes and their fan-in"))
        return NULL;
    s->O = (int)dims[0], s->I = (int)dims[1], s->R = (int)dims[2], s->S = (int)dims[3];
    s->role = (zs_role)r;
    s->linear = r == ZS_ROLE_WEIGHT && ndim == 2;
    s->initial = 1.0;
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
        if (shapes[i].role == ZS_ROLE_BIAS && i > 0) shapes[i].linear = shapes[i - 1].linear; /* its layer's weight */
        PyList_SET_ITEM(arrays, (Py_ssize_t)i, a);
    }
    if (!arrays || !zs_take_filled(zs_init_scratch_bytes(shapes, n, kind), &scratch))
        Py_CLEAR(arrays);
    else
        zs_init_all(shapes, n, kind, seed, outs, scratch);
done:
    zs_free(shapes);
    zs_free(outs);
    zs_free_aligned(scratch);
    return arrays;
}

PyMethodDef zs_testing_random[] = {
    {"rng_u32", rng_u32, METH_VARARGS, "rng_u32(seed, n) -> first n words of the stream"},
    {"rng_draws", rng_draws, METH_VARARGS, "rng_draws(seed, [(\"uniform\" or \"normal\", n, a, b), ...]) -> arrays"},
    {"rng_at", rng_at, METH_VARARGS, "rng_at(seed, stream, index) -> float in [0, 1)"},
    {"init_kinds", init_kinds, METH_NOARGS, "init_kinds() -> list of names"},
    {"init_all", init_all, METH_VARARGS, "init_all([(role, shape, fan_in), ...], kind, seed) -> arrays"},
    {NULL, NULL, 0, NULL},
};
