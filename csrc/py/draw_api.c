#include "py/draw_api.h"

#include "core/arena.h"
#include "core/init.h"
#include "py/graph_object.h"
#include "py/numpy_api.h"

/* A new array for a tensor, dense, in the axes that Python sees. */
static PyArrayObject *new_array(const zs_tensor *t) {
    npy_intp dims[4] = {t->O, t->I, t->R, t->S};
    return (PyArrayObject *)PyArray_SimpleNew(t->ndim, dims, NPY_FLOAT);
}

/* {name: array} with the arrays' data in outs; NULL with an exception. */
static PyObject *make_arrays(const zs_graph *g, float **outs) {
    PyObject *dict = PyDict_New();
    for (int i = 0; dict && i < g->n_tensors; i++) {
        PyArrayObject *a = new_array(&g->tensors[i]);
        if (!a || PyDict_SetItemString(dict, g->tensors[i].name, (PyObject *)a) < 0)
            Py_CLEAR(dict);
        else
            outs[i] = PyArray_DATA(a);
        Py_XDECREF(a);
    }
    return dict;
}

PyObject *zs_py_draw_weights(PyObject *module, PyObject *args) {
    PyObject *obj;
    const char *name;
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "OsK:draw_weights", &obj, &name, &seed)) return NULL;
    const zs_graph *g = zs_py_graph_get(module, obj);
    if (!g) return NULL;
    const int init = zs_init_by_name(name);
    if (init < 0) return PyErr_Format(PyExc_ValueError, "init: unknown initialiser '%.40s'", name);
    const size_t n = (size_t)g->n_tensors;
    PyObject *dict = NULL;
    void *scratch = NULL;
    zs_init_shape *shapes = zs_calloc(n + 1, sizeof *shapes);
    float **outs = zs_calloc(n + 1, sizeof *outs);
    if (!shapes || !outs) goto no_memory;
    zs_init_shapes(g, shapes);
    const size_t n_bytes = zs_init_scratch_bytes(shapes, n, init);
    if (n_bytes && !(scratch = zs_alloc_aligned(n_bytes))) goto no_memory;
    dict = make_arrays(g, outs);
    if (dict) {
        Py_BEGIN_ALLOW_THREADS
        zs_init_all(shapes, n, init, seed, outs, scratch);
        Py_END_ALLOW_THREADS
    }
    goto done;
no_memory:
    PyErr_NoMemory();
done:
    zs_free(shapes);
    zs_free(outs);
    zs_free_aligned(scratch);
    return dict;
}
