/* zeroshot._testing: arena and allocator, which can be told to fail. */
#include "py/testing/arguments.h"

#include <string.h>

#include "core/arena.h"

static PyObject *arena_offsets(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *sizes;
    Py_ssize_t missing = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$n:arena_offsets", ZS_NAMES("sizes", "missing"), &PyList_Type,
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

PyMethodDef zs_testing_memory[] = {
    {"arena_offsets", ZS_KEYWORDS(arena_offsets), METH_VARARGS | METH_KEYWORDS,
     "arena_offsets(sizes, *, missing=0) -> (offsets, capacity): measure, then take with `missing` bytes too few"},
    {"alloc_fail_after", alloc_fail_after, METH_VARARGS,
     "alloc_fail_after(k, persistent=False): allocation k from now (0: the next) fails; k < 0: none"},
    {"alloc_count", alloc_count, METH_NOARGS, "alloc_count() -> allocations since alloc_fail_after"},
    {NULL, NULL, 0, NULL},
};
