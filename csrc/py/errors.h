/* zs_status -> exception, in one place. */
#ifndef ZS_PY_ERRORS_H
#define ZS_PY_ERRORS_H

#include "core/status.h"
#include "py/state.h"

/* Sets the exception of err, returns NULL. */
PyObject *zs_py_raise(PyObject *module, const zs_error *err);
PyObject *zs_py_raise_with(const zs_py_state *state, const zs_error *err);

/* Finds the classes of zeroshot.errors; -1 with an exception. */
int zs_py_errors_init(zs_py_state *state);

#endif
