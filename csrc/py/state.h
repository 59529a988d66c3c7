/* What one instance of the module owns. */
#ifndef ZS_PY_STATE_H
#define ZS_PY_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct zs_py_state {
    PyTypeObject *graph_type, *builder_type, *workspace_type, *cancel_type;
    PyObject *architecture_error, *engine_error, *cancelled; /* of zeroshot.errors */
    long pid; /* of the process that imported: a forked child stays serial */
} zs_py_state;

static inline zs_py_state *zs_py_state_of(PyObject *module) { return PyModule_GetState(module); }

/* The state by way of an object whose type belongs to the module; NULL with an exception. */
static inline zs_py_state *zs_py_state_of_type(PyTypeObject *type) { return PyType_GetModuleState(type); }

#endif
