/* Scoring, as a function of zeroshot._core. */
#ifndef ZS_PY_SCORE_API_H
#define ZS_PY_SCORE_API_H

#include "py/state.h"

PyObject *zs_py_run(PyObject *module, PyObject *args, PyObject *kwargs);

#define ZS_PY_SCORE_METHODS                                                                                          \
    {"run", (PyCFunction)(void (*)(void))zs_py_run, METH_VARARGS | METH_KEYWORDS,                                    \
     "run(graph, x, y, *, ...) -> dict: scores one architecture"},

#endif
