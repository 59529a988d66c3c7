#define ZS_NUMPY_IMPORTS
#include "py/numpy_api.h"

int zs_py_numpy_init(void) { return PyArray_ImportNumPyAPI(); }
