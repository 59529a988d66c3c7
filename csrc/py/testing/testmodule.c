/* zeroshot._testing: what is inside the core, callable from tests. Each <subject>_testing.c has the functions of one
   subject and their table; arguments.h says how they are called. The module links its own copy of the core: its
   allocator's faults are not those of zeroshot._core. */
#include "py/testing/arguments.h"

extern PyMethodDef zs_testing_conv2d[], zs_testing_norm[], zs_testing_pool[], zs_testing_sum[], zs_testing_loss[],
    zs_testing_stats[], zs_testing_layout[], zs_testing_memory[], zs_testing_random[], zs_testing_plan[],
    zs_testing_peak[], zs_testing_dense[], zs_testing_hessian[], zs_testing_activation[], zs_testing_token[];

static PyObject *tables(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *out = PyList_New(0);
    for (int i = 0; out && i < zs_cpu_n_tables(); i++)
        if (!zs_append(out, Py_BuildValue("(sO)", zs_cpu_table_name(i), zs_cpu_table_usable(i) ? Py_True : Py_False)))
            Py_CLEAR(out);
    return out;
}

static PyMethodDef methods[] = {
    {"tables", tables, METH_NOARGS, "tables() -> list of (name, usable here), best last"},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    PyMethodDef *const subjects[] = {
        zs_testing_conv2d, zs_testing_norm,   zs_testing_pool,    zs_testing_sum,        zs_testing_loss,
        zs_testing_stats,  zs_testing_layout, zs_testing_memory,  zs_testing_random,     zs_testing_plan,
        zs_testing_peak,   zs_testing_dense,  zs_testing_hessian, zs_testing_activation, zs_testing_token,
    };
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (PyModule_AddFunctions(module, subjects[i]) < 0) return -1;
    return zs_py_numpy_init();
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "zeroshot._testing",
    .m_doc = "The inside of the core, for tests.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__testing(void);

PyMODINIT_FUNC PyInit__testing(void) { return PyModuleDef_Init(&definition); }
