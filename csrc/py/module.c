/* zeroshot._core: multi-phase init, module state; everything else is in the file of its subject. */
#include <unistd.h>

#include "py/state.h"

#include "py/config_api.h"
#include "py/draw_api.h"
#include "py/errors.h"
#include "py/graph_object.h"
#include "py/numpy_api.h"
#include "py/score_api.h"
#include "py/space_api.h"
#include "py/worker.h"

static PyMethodDef methods[] = {
    ZS_PY_SCORE_METHODS ZS_PY_CONFIG_METHODS ZS_PY_SPACE_METHODS ZS_PY_DRAW_METHODS{NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    zs_py_state *state = zs_py_state_of(module);
    state->pid = (long)getpid();
    if (zs_py_numpy_init() < 0 || zs_py_errors_init(state) < 0 || zs_py_graph_init(module) < 0 ||
        zs_py_worker_init(module) < 0)
        return -1;
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    const zs_py_state *s = zs_py_state_of(module);
    Py_VISIT(s->graph_type);
    Py_VISIT(s->builder_type);
    Py_VISIT(s->workspace_type);
    Py_VISIT(s->cancel_type);
    Py_VISIT(s->architecture_error);
    Py_VISIT(s->engine_error);
    Py_VISIT(s->cancelled);
    return 0;
}

static int module_clear(PyObject *module) {
    zs_py_state *s = zs_py_state_of(module);
    Py_CLEAR(s->graph_type);
    Py_CLEAR(s->builder_type);
    Py_CLEAR(s->workspace_type);
    Py_CLEAR(s->cancel_type);
    Py_CLEAR(s->architecture_error);
    Py_CLEAR(s->engine_error);
    Py_CLEAR(s->cancelled);
    return 0;
}

static void module_free(void *module) { module_clear((PyObject *)module); }

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,         .m_name = "zeroshot._core", .m_doc = "The C core of zeroshot.",
    .m_size = sizeof(zs_py_state), .m_methods = methods,       .m_slots = slots,
    .m_traverse = module_traverse, .m_clear = module_clear,    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void); /* older Python headers declare no prototype */

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
