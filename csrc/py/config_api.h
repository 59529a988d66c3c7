/* The lists of what there is, as functions of zeroshot._core. */
#ifndef ZS_PY_CONFIG_API_H
#define ZS_PY_CONFIG_API_H

#include "py/state.h"

PyObject *zs_py_list_scores(PyObject *module, PyObject *unused);
PyObject *zs_py_list_inits(PyObject *module, PyObject *unused);
PyObject *zs_py_list_losses(PyObject *module, PyObject *unused);
PyObject *zs_py_kernel_tables(PyObject *module, PyObject *unused);
PyObject *zs_py_build_config(PyObject *module, PyObject *unused);
PyObject *zs_py_alloc_fail_after(PyObject *module, PyObject *args);
PyObject *zs_py_alloc_count(PyObject *module, PyObject *unused);

#define ZS_PY_CONFIG_METHODS                                                                                         \
    {"list_scores", zs_py_list_scores, METH_NOARGS, "list_scores() -> list of dicts"},                               \
    {"list_inits", zs_py_list_inits, METH_NOARGS, "list_inits() -> tuple of str"},                                   \
    {"list_losses", zs_py_list_losses, METH_NOARGS, "list_losses() -> tuple of str"},                                \
    {"kernel_tables", zs_py_kernel_tables, METH_NOARGS, "kernel_tables() -> list of (name, usable), best last"},     \
    {"build_config", zs_py_build_config, METH_NOARGS, "build_config() -> dict"},                                     \
    {"_alloc_fail_after", zs_py_alloc_fail_after, METH_VARARGS,                                                      \
     "_alloc_fail_after(k, persistent): the k-th allocation of the core from now fails; k < 0: none does"},          \
    {"_alloc_count", zs_py_alloc_count, METH_NOARGS, "_alloc_count() -> allocations since _alloc_fail_after"},

#endif
