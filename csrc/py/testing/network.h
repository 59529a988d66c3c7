/* zeroshot._testing: networks as arguments. */
#ifndef ZS_PY_TESTING_NETWORK_H
#define ZS_PY_TESTING_NETWORK_H

#include "py/testing/arguments.h"

#include "core/dual.h"

/* From ((C, H, W), [(op, name, inputs, attrs), ...]), of which the last is the output; NULL with an exception. */
zs_graph *zs_make_graph(PyObject *network);

/* NULL, with the exception that err stands for. */
PyObject *zs_raise(const zs_error *err);

#endif
