/* zeroshot._core.Graph and GraphBuilder. */
#ifndef ZS_PY_GRAPH_OBJECT_H
#define ZS_PY_GRAPH_OBJECT_H

#include "core/builder.h"
#include "py/state.h"

int zs_py_graph_init(PyObject *module);

PyObject *zs_py_graph_wrap(PyObject *module, zs_graph *graph);          /* steals graph, also on failure */
const zs_graph *zs_py_graph_get(PyObject *module, PyObject *obj);      /* borrowed; NULL with TypeError */

/* Attributes from a dict; -1 with an exception that names the attribute. */
int zs_py_attrs(PyObject *dict, zs_op_kind op, zs_attrs *out);

#endif
