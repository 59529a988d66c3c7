/* What there is: scores, initialisers, losses, kernel tables, how it was built; and faults for tests. */
#include "py/config_api.h"

#include "core/arena.h"
#include "core/init.h"
#include "cpu/dispatch.h"
#include "scores/score.h"

static PyObject *score_dict(const zs_score *s) {
    Py_ssize_t n = 0;
    while (s->params[n]) n++;
    PyObject *params = PyTuple_New(n);
    for (Py_ssize_t i = 0; params && i < n; i++) {
        PyObject *name = PyUnicode_FromString(s->params[i]);
        if (name)
            PyTuple_SET_ITEM(params, i, name);
        else
            Py_CLEAR(params);
    }
    if (!params) return NULL;
    return Py_BuildValue("{s:s,s:N,s:i,s:N,s:z,s:N,s:N}", "name", s->name, "params", params, "min_groups",
                         s->min_groups, "takes_edges", PyBool_FromLong(s->takes_edges), "extra_name", s->extra_name,
                         "by_tensor", PyBool_FromLong(s->finish_tensor != NULL), "counts_nodes",
                         PyBool_FromLong(s->counts_nodes));
}

PyObject *zs_py_list_scores(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *list = PyList_New(zs_n_scores());
    for (int i = 0; list && i < zs_n_scores(); i++) {
        PyObject *dict = score_dict(zs_score_at(i));
        if (dict)
            PyList_SET_ITEM(list, i, dict);
        else
            Py_CLEAR(list);
    }
    return list;
}

static const char *init_name(int i) { return zs_init_name(i); }
static const char *loss_name(int i) { return zs_loss_name((zs_loss)i); }

static PyObject *names_tuple(int n, const char *(*name)(int)) {
    PyObject *tuple = PyTuple_New(n);
    for (int i = 0; tuple && i < n; i++) {
        PyObject *text = PyUnicode_FromString(name(i));
        if (text)
            PyTuple_SET_ITEM(tuple, i, text);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

PyObject *zs_py_list_inits(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return names_tuple(ZS_N_INITS, init_name);
}

PyObject *zs_py_list_losses(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return names_tuple(ZS_N_LOSSES, loss_name);
}

PyObject *zs_py_kernel_tables(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *list = PyList_New(zs_cpu_n_tables());
    for (int i = 0; list && i < zs_cpu_n_tables(); i++) {
        PyObject *pair = Py_BuildValue("sN", zs_cpu_table_name(i), PyBool_FromLong(zs_cpu_table_usable(i)));
        if (pair)
            PyList_SET_ITEM(list, i, pair);
        else
            Py_CLEAR(list);
    }
    return list;
}

PyObject *zs_py_build_config(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
#ifdef _OPENMP
    const bool openmp = true;
#else
    const bool openmp = false;
#endif
#ifdef ZS_DEBUG
    const bool debug = true;
#else
    const bool debug = false;
#endif
    return Py_BuildValue("{s:s,s:N,s:N,s:s}", "compiler", __VERSION__, "openmp", PyBool_FromLong(openmp), "debug",
                         PyBool_FromLong(debug), "built_for_python", PY_VERSION);
}

/* --- faults, for tests -------------------------------------------------------------------------------------------- */

PyObject *zs_py_alloc_fail_after(PyObject *module, PyObject *args) {
    (void)module;
    long k;
    int persistent;
    if (!PyArg_ParseTuple(args, "lp:_alloc_fail_after", &k, &persistent)) return NULL;
    zs_alloc_fail_after(k, persistent);
    Py_RETURN_NONE;
}

PyObject *zs_py_alloc_count(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong(zs_alloc_count());
}
