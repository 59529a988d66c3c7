#include "py/space_api.h"

#include "core/count.h"
#include "py/errors.h"
#include "py/graph_object.h"
#include "spaces/nasbench101.h"
#include "spaces/space.h"

static PyObject *tuple_of_names(int n, const char *(*name_of)(int)) {
    PyObject *names = PyTuple_New(n);
    for (int i = 0; names && i < n; i++) {
        PyObject *name = PyUnicode_FromString(name_of(i));
        if (!name)
            Py_CLEAR(names);
        else
            PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

static const char *space_name(int i) { return zs_space_get(i)->name; }

PyObject *zs_py_space_names(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return tuple_of_names(zs_space_count(), space_name);
}

PyObject *zs_py_space_builders(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    return tuple_of_names(ZS_N_BUILDERS, zs_space_builder_name);
}

/* NULL with ValueError, which lists the known names. */
static const zs_space *get_space(PyObject *module, PyObject *name) {
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(name, &len);
    if (!text) return NULL;
    const zs_space *space = zs_space_by_name(text, (size_t)len);
    if (space) return space;
    PyObject *known = zs_py_space_names(module, NULL);
    if (known) PyErr_Format(PyExc_ValueError, "space: expected one of %R, got %R", known, name);
    Py_XDECREF(known);
    return NULL;
}

PyObject *zs_py_space_defaults(PyObject *module, PyObject *name) {
    if (!PyUnicode_Check(name))
        return PyErr_Format(PyExc_TypeError, "space: expected str, got %.100s", Py_TYPE(name)->tp_name);
    const zs_space *space = get_space(module, name);
    return space ? Py_BuildValue("ii", space->channels, space->cells) : NULL;
}

/* Values outside an int are clamped: every one of them is far outside what the checks below admit. */
static bool get_int(PyObject *obj, const char *name, int *out) {
    PyObject *index = PyNumber_Index(obj);
    if (!index) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s: expected an integer, got %.100s", name, Py_TYPE(obj)->tp_name);
        return false;
    }
    int overflow;
    const long value = PyLong_AsLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    *out = overflow > 0 || value > INT_MAX ? INT_MAX : overflow < 0 || value < INT_MIN ? INT_MIN : (int)value;
    return true;
}

/* Any iterable of n integers. Copied first: an element's __index__ may run code that changes a list. */
static bool get_ints(PyObject *obj, const char *name, int n, int *out) {
    PyObject *items = PySequence_Tuple(obj);
    if (!items) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s: expected a sequence of %d integers, got %.100s", name, n,
                         Py_TYPE(obj)->tp_name);
        return false;
    }
    bool ok = PyTuple_GET_SIZE(items) == n;
    if (!ok) PyErr_Format(PyExc_ValueError, "%s: expected %d integers, got %zd", name, n, PyTuple_GET_SIZE(items));
    for (int i = 0; ok && i < n; i++) ok = get_int(PyTuple_GET_ITEM(items, i), name, &out[i]);
    Py_DECREF(items);
    return ok;
}

static bool get_genes(PyObject *module, const zs_space *space, PyObject *obj, int *genes) {
    if (!get_ints(obj, "genes", space->n_genes, genes)) return false;
    zs_error err;
    zs_error_clear(&err);
    if (space->check(genes, &err) == ZS_OK) return true;
    zs_py_raise(module, &err);
    return false;
}

static PyObject *tuple_of_ints(int n, const int *values) {
    PyObject *out = PyTuple_New(n);
    for (int i = 0; out && i < n; i++) {
        PyObject *value = PyLong_FromLong(values[i]);
        if (!value)
            Py_CLEAR(out);
        else
            PyTuple_SET_ITEM(out, i, value);
    }
    return out;
}

PyObject *zs_py_space_parse(PyObject *module, PyObject *args) {
    PyObject *name, *text;
    if (!PyArg_ParseTuple(args, "UO:space_parse", &name, &text)) return NULL;
    const zs_space *space = get_space(module, name);
    if (!space) return NULL;

    PyObject *bytes = NULL;
    if (PyUnicode_Check(text)) /* lone surrogates are the parser's to reject, too */
        bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    else if (PyBytes_Check(text))
        bytes = Py_NewRef(text);
    else
        PyErr_Format(PyExc_TypeError, "text: expected str or bytes, got %.100s", Py_TYPE(text)->tp_name);
    if (!bytes) return NULL;

    int genes[ZS_MAX_GENES];
    zs_error err;
    zs_error_clear(&err);
    const zs_status st = space->parse(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), genes, &err);
    Py_DECREF(bytes);
    if (st != ZS_OK) return zs_py_raise(module, &err);

    return tuple_of_ints(space->n_genes, genes);
}

PyObject *zs_py_space_format(PyObject *module, PyObject *args) {
    PyObject *name, *sequence;
    if (!PyArg_ParseTuple(args, "UO:space_format", &name, &sequence)) return NULL;
    const zs_space *space = get_space(module, name);
    int genes[ZS_MAX_GENES];
    if (!space || !get_genes(module, space, sequence, genes)) return NULL;
    char text[ZS_MAX_ARCH_TEXT];
    space->format(genes, text);
    return PyUnicode_FromString(text);
}

PyObject *zs_py_space_build(PyObject *module, PyObject *args) {
    PyObject *name, *sequence, *channels, *cells, *num_classes, *input;
    const char *builder = zs_space_builder_name(ZS_BUILDER_AUTODL);
    if (!PyArg_ParseTuple(args, "UOOOOO|s:space_build", &name, &sequence, &channels, &cells, &num_classes, &input,
                          &builder))
        return NULL;
    const zs_space *space = get_space(module, name);
    int genes[ZS_MAX_GENES], shape[3];
    zs_space_args a;
    if (!space || !get_genes(module, space, sequence, genes) || !get_int(channels, "channels", &a.channels) ||
        !get_int(cells, "cells", &a.cells) || !get_int(num_classes, "num_classes", &a.num_classes) ||
        !get_ints(input, "input shape", 3, shape))
        return NULL;
    a.input = (zs_shape){shape[0], shape[1], shape[2]};
    const int number = zs_space_builder_by_name(builder);
    if (number < 0) {
        PyObject *known = zs_py_space_builders(module, NULL);
        if (known) PyErr_Format(PyExc_ValueError, "builder: expected one of %R, got '%.100s'", known, builder);
        Py_XDECREF(known);
        return NULL;
    }
    a.builder = (zs_space_builder)number;

    zs_graph *graph = NULL;
    zs_error err;
    zs_error_clear(&err);
    if (space->build(genes, &a, &graph, &err) != ZS_OK) return zs_py_raise(module, &err);
    return zs_py_graph_wrap(module, graph);
}

PyObject *zs_py_nasbench101_canonical(PyObject *module, PyObject *args) {
    PyObject *sequence;
    int keep_order, genes[ZS_MAX_GENES], least[ZS_MAX_GENES];
    if (!PyArg_ParseTuple(args, "Op:nasbench101_canonical", &sequence, &keep_order) ||
        !get_genes(module, &zs_space_nasbench101, sequence, genes))
        return NULL;
    zs_nasbench101_canonical(genes, keep_order, least);
    return tuple_of_ints(zs_space_nasbench101.n_genes, least);
}

PyObject *zs_py_nasbench101_enumerate(PyObject *module, PyObject *vertices) {
    (void)module;
    int n;
    if (!get_int(vertices, "vertices", &n)) return NULL;
    if (n < 2 || n > ZS_NB101_VERTICES)
        return PyErr_Format(PyExc_ValueError, "vertices: expected 2 to %d, got %R", ZS_NB101_VERTICES, vertices);
    PyObject *codes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(zs_nb101_count(n) * sizeof(int32_t)));
    if (!codes) return NULL;
    int32_t *const at = (int32_t *)(void *)PyBytes_AS_STRING(codes);
    Py_BEGIN_ALLOW_THREADS
    zs_nb101_enumerate(n, at);
    Py_END_ALLOW_THREADS
    return codes;
}

PyObject *zs_py_graph_count(PyObject *module, PyObject *obj) {
    const zs_graph *graph = zs_py_graph_get(module, obj);
    if (!graph) return NULL;
    zs_counts c;
    zs_error err;
    zs_error_clear(&err);
    if (zs_graph_count(graph, &c, &err) != ZS_OK) return zs_py_raise(module, &err);
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L}", "params", (long long)c.params, "weights", (long long)c.weights,
                         "macs", (long long)c.macs, "thop_flops", (long long)c.thop_flops, "live_weights",
                         (long long)c.live_weights, "live_macs", (long long)c.live_macs);
}
