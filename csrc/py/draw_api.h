/* Drawing of a network's weights, as a function of zeroshot._core. */
#ifndef ZS_PY_DRAW_API_H
#define ZS_PY_DRAW_API_H

#include "py/state.h"

PyObject *zs_py_draw_weights(PyObject *module, PyObject *args);

#define ZS_PY_DRAW_METHODS                                                                                           \
    {"draw_weights", zs_py_draw_weights, METH_VARARGS,                                                               \
     "draw_weights(graph, init, seed) -> dict of float32 arrays, the weights that a score draws"},

#endif
