#include "py/errors.h"

int zs_py_errors_init(zs_py_state *state) {
    PyObject *errors = PyImport_ImportModule("zeroshot.errors");
    if (!errors) return -1;
    state->architecture_error = PyObject_GetAttrString(errors, "ArchitectureError");
    state->engine_error = PyObject_GetAttrString(errors, "EngineError");
    state->cancelled = PyObject_GetAttrString(errors, "Cancelled");
    Py_DECREF(errors);
    return state->architecture_error && state->engine_error && state->cancelled ? 0 : -1;
}

PyObject *zs_py_raise_with(const zs_py_state *state, const zs_error *err) {
    switch (err->status) {
    case ZS_ENOMEM: PyErr_SetString(PyExc_MemoryError, err->text); break;
    case ZS_EINVAL: PyErr_SetString(PyExc_ValueError, err->text); break;
    case ZS_EARCH: {
        PyObject *exception = err->position < 0
                                  ? PyObject_CallFunction(state->architecture_error, "s", err->text)
                                  : PyObject_CallFunction(state->architecture_error, "sl", err->text, err->position);
        if (exception) PyErr_SetObject(state->architecture_error, exception);
        Py_XDECREF(exception);
        break;
    }
    case ZS_ECANCEL:
        if (!PyErr_Occurred()) PyErr_SetString(state->cancelled, err->text);
        break;
    default: PyErr_SetString(state->engine_error, err->text); break;
    }
    return NULL;
}

PyObject *zs_py_raise(PyObject *module, const zs_error *err) { return zs_py_raise_with(zs_py_state_of(module), err); }
