#include "py/worker.h"

#include "cpu/dispatch.h"

static void workspace_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    zs_workspace_free(&((zs_py_workspace *)self)->workspace, &zs_backend_cpu);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *workspace_capacity(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((zs_py_workspace *)self)->workspace.capacity);
}

static PyGetSetDef workspace_getset[] = {
    {"capacity", workspace_capacity, NULL, "bytes held", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot workspace_slots[] = {
    {Py_tp_dealloc, workspace_dealloc},
    {Py_tp_getset, workspace_getset},
    {Py_tp_doc, "Workspace(): memory that one worker keeps between calls."},
    {0, NULL},
};

static PyType_Spec workspace_spec = {
    .name = "zeroshot._core.Workspace",
    .basicsize = sizeof(zs_py_workspace),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = workspace_slots,
};

static void cancel_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *cancel_cancel(PyObject *self, PyObject *unused) {
    (void)unused;
    atomic_store(&((zs_py_cancel *)self)->flag, 1);
    Py_RETURN_NONE;
}

static PyObject *cancel_cancelled(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(atomic_load(&((zs_py_cancel *)self)->flag));
}

static PyMethodDef cancel_methods[] = {
    {"cancel", cancel_cancel, METH_NOARGS, "cancel(): every call that was given this token stops soon"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cancel_getset[] = {
    {"cancelled", cancel_cancelled, NULL, "True once cancel() was called", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot cancel_slots[] = {
    {Py_tp_dealloc, cancel_dealloc},
    {Py_tp_methods, cancel_methods},
    {Py_tp_getset, cancel_getset},
    {Py_tp_doc, "CancelToken(): stops calls from any thread."},
    {0, NULL},
};

static PyType_Spec cancel_spec = {
    .name = "zeroshot._core.CancelToken",
    .basicsize = sizeof(zs_py_cancel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cancel_slots,
};

int zs_py_worker_init(PyObject *module) {
    zs_py_state *state = zs_py_state_of(module);
    state->workspace_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &workspace_spec, NULL);
    state->cancel_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cancel_spec, NULL);
    if (!state->workspace_type || !state->cancel_type) return -1;
    return PyModule_AddType(module, state->workspace_type) < 0 ? -1 : PyModule_AddType(module, state->cancel_type);
}
