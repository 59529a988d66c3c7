/* zeroshot._core.Workspace and CancelToken: what a worker keeps, and how it is stopped. */
#ifndef ZS_PY_WORKER_H
#define ZS_PY_WORKER_H

#include <stdatomic.h>

#include "py/state.h"
#include "scores/job.h"

typedef struct zs_py_workspace {
    PyObject_HEAD
    zs_workspace workspace;
    bool busy; /* changed under the GIL only */
} zs_py_workspace;

typedef struct zs_py_cancel {
    PyObject_HEAD
    _Atomic int flag;
} zs_py_cancel;

int zs_py_worker_init(PyObject *module);

#endif
