/* The spaces and the counts, as functions of zeroshot._core. */
#ifndef ZS_PY_SPACE_API_H
#define ZS_PY_SPACE_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *zs_py_space_names(PyObject *module, PyObject *unused);
PyObject *zs_py_space_builders(PyObject *module, PyObject *unused);
PyObject *zs_py_space_defaults(PyObject *module, PyObject *name);
PyObject *zs_py_space_parse(PyObject *module, PyObject *args);
PyObject *zs_py_space_format(PyObject *module, PyObject *args);
PyObject *zs_py_space_build(PyObject *module, PyObject *args);
PyObject *zs_py_nasbench101_canonical(PyObject *module, PyObject *args);
PyObject *zs_py_nasbench101_enumerate(PyObject *module, PyObject *vertices);
PyObject *zs_py_graph_count(PyObject *module, PyObject *graph);

/* Lines of the module's method table. */
#define ZS_PY_SPACE_METHODS                                                                                          \
    {"space_names", zs_py_space_names, METH_NOARGS, "space_names() -> tuple of str"},                                \
    {"space_builders", zs_py_space_builders, METH_NOARGS, "space_builders() -> tuple of str, the default first"},    \
    {"space_defaults", zs_py_space_defaults, METH_O,                                                                 \
     "space_defaults(space) -> (channels, cells), channels 0 where architectures say their own"},                    \
    {"space_parse", zs_py_space_parse, METH_VARARGS, "space_parse(space, text) -> genes, a tuple of int"},           \
    {"space_format", zs_py_space_format, METH_VARARGS, "space_format(space, genes) -> str"},                         \
    {"space_build", zs_py_space_build, METH_VARARGS,                                                                 \
     "space_build(space, genes, channels, cells, num_classes, (C, H, W), builder='autodl') -> Graph"},               \
    {"nasbench101_canonical", zs_py_nasbench101_canonical, METH_VARARGS,                                             \
     "nasbench101_canonical(genes, keep_order) -> genes, the least of those equal but for the numbering"},           \
    {"nasbench101_enumerate", zs_py_nasbench101_enumerate, METH_O,                                                   \
     "nasbench101_enumerate(vertices) -> bytes of int32, edges * 3**(vertices - 2) + ops of each module"},           \
    {"graph_count", zs_py_graph_count, METH_O,                                                                       \
     "graph_count(graph) -> dict with params, weights, macs, thop_flops, live_weights, live_macs"},

#endif
