/* NumPy's C API, imported once by numpy_api.c and shared by the files of one extension module. */
#ifndef ZS_PY_NUMPY_API_H
#define ZS_PY_NUMPY_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef NPY_NO_DEPRECATED_API
#define NPY_NO_DEPRECATED_API NPY_1_23_API_VERSION
#endif
#define PY_ARRAY_UNIQUE_SYMBOL ZS_ARRAY_API
#ifndef ZS_NUMPY_IMPORTS
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>
#undef I /* of complex.h, which NumPy includes; ours are input channels */

int zs_py_numpy_init(void); /* -1 with an exception */

#endif
