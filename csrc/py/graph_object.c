#include "py/graph_object.h"

#include "core/arena.h"
#include "core/op.h"
#include "py/errors.h"

typedef struct graph_object {
    PyObject_HEAD
    zs_graph *graph;
} graph_object;

typedef struct builder_object {
    PyObject_HEAD
    zs_builder *builder; /* NULL once finished or failed */
} builder_object;

/* --- attributes --------------------------------------------------------------------------------------------------- */

enum { ATTR_INT, ATTR_PAIR, ATTR_BOOL, ATTR_DOUBLE, ATTR_BN_MODE };

typedef struct attr_def {
    const char *name;
    int kind;
    size_t offset, offset2; /* in zs_attrs */
    uint64_t ops; /* bit per op that has it */
} attr_def;

#define AT(field) offsetof(zs_attrs, field)
_Static_assert(ZS_N_PUBLIC_OP_KINDS <= 64, "a bit for each op");
#define BIT(op) ((uint64_t)1 << ZS_OP_##op)
#define WINDOWED (BIT(CONV2D) | BIT(MAX_POOL) | BIT(AVG_POOL))
#define NORMS (BIT(BATCH_NORM) | BIT(GROUP_NORM) | BIT(LAYER_NORM))

static const attr_def ATTRS[] = {
    {"out_channels", ATTR_INT, AT(K), 0, BIT(CONV2D)},
    {"out_features", ATTR_INT, AT(K), 0, BIT(LINEAR)},
    {"channels", ATTR_INT, AT(K), 0, BIT(SLICE_CHANNELS)},
    {"start", ATTR_INT, AT(start), 0, BIT(SLICE_CHANNELS)},
    {"groups", ATTR_INT, AT(groups), 0, BIT(CONV2D) | BIT(SOFTMAX) | BIT(GROUP_NORM)},
    {"bias", ATTR_BOOL, AT(bias), 0, BIT(CONV2D) | BIT(LINEAR) | BIT(LINEAR_SPATIAL)},
    {"kernel", ATTR_PAIR, AT(window.R), AT(window.S), WINDOWED},
    {"stride", ATTR_PAIR, AT(window.stride_h), AT(window.stride_w), WINDOWED},
    {"padding", ATTR_PAIR, AT(window.pad_h), AT(window.pad_w), WINDOWED},
    {"dilation", ATTR_PAIR, AT(window.dil_h), AT(window.dil_w), BIT(CONV2D) | BIT(MAX_POOL)},
    {"count_include_pad", ATTR_BOOL, AT(count_include_pad), 0, BIT(AVG_POOL)},
    {"eps", ATTR_DOUBLE, AT(eps), 0, NORMS},
    {"affine", ATTR_BOOL, AT(affine), 0, NORMS},
    {"mode", ATTR_BN_MODE, AT(bn_mode), 0, BIT(BATCH_NORM)},
    {"stride", ATTR_INT, AT(stride), 0, BIT(ZERO)},
    {"heads", ATTR_INT, AT(heads), 0, BIT(MATMUL)},
    {"transpose_b", ATTR_BOOL, AT(transpose_b), 0, BIT(MATMUL)},
    {"scale", ATTR_DOUBLE, AT(scale), 0, BIT(MATMUL)},
    {"initial", ATTR_DOUBLE, AT(initial), 0, BIT(SCALE_CHANNELS)},
};
enum { N_ATTRS = sizeof ATTRS / sizeof *ATTRS };

static int get_int(PyObject *value, const char *name, void *out) {
    PyObject *index = PyBool_Check(value) ? NULL : PyNumber_Index(value);
    if (!index) {
        PyErr_Format(PyExc_TypeError, "%s: expected an integer, got %R", name, value);
        return -1;
    }
    int overflow;
    const long n = PyLong_AsLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    *(int *)out = overflow > 0 || n > INT32_MAX ? INT32_MAX : overflow < 0 || n < INT32_MIN ? INT32_MIN : (int)n;
    return 0;
}

static int set_attr(const attr_def *def, PyObject *value, zs_attrs *out) {
    char *const at = (char *)out + def->offset, *const at2 = (char *)out + def->offset2;
    switch (def->kind) {
    case ATTR_INT: return get_int(value, def->name, at);
    case ATTR_PAIR:
        if (PyLong_Check(value)) return get_int(value, def->name, at) < 0 ? -1 : get_int(value, def->name, at2);
        if (!PySequence_Check(value) || PySequence_Size(value) != 2) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "%s: expected an integer or a pair of them, got %R", def->name, value);
            return -1;
        }
        for (int i = 0; i < 2; i++) {
            PyObject *item = PySequence_GetItem(value, i);
            const int failed = !item || get_int(item, def->name, i ? at2 : at) < 0;
            Py_XDECREF(item);
            if (failed) return -1;
        }
        return 0;
    case ATTR_BOOL:
        if (!PyBool_Check(value)) {
            PyErr_Format(PyExc_TypeError, "%s: expected True or False, got %R", def->name, value);
            return -1;
        }
        *(bool *)(void *)at = value == Py_True;
        return 0;
    case ATTR_DOUBLE: {
        const double x = PyFloat_AsDouble(value);
        if (x == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "%s: expected a number, got %R", def->name, value);
            return -1;
        }
        *(double *)(void *)at = x;
        return 0;
    }
    default: {
        const char *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
        const int mode = text ? zs_bn_mode_by_name(text) : -1;
        if (mode < 0) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "%s: expected 'batch', 'running' or 'identity', got %R", def->name, value);
            return -1;
        }
        *(zs_bn_mode *)(void *)at = (zs_bn_mode)mode;
        return 0;
    }
    }
}

int zs_py_attrs(PyObject *dict, zs_op_kind op, zs_attrs *out) {
    *out = zs_attrs_default();
    if (op == ZS_OP_MAX_POOL || op == ZS_OP_AVG_POOL) out->count_include_pad = true;
    if (op == ZS_OP_LAYER_NORM) out->eps = 1e-6;
    if (!dict || dict == Py_None) return 0;
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "attrs: expected a dict, got %.100s", Py_TYPE(dict)->tp_name);
        return -1;
    }
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &at, &key, &value)) {
        const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8(key) : NULL;
        const attr_def *def = NULL;
        for (int i = 0; name && i < N_ATTRS && !def; i++)
            if (strcmp(ATTRS[i].name, name) == 0 && (ATTRS[i].ops >> op & 1)) def = &ATTRS[i];
        if (name && !def && op == ZS_OP_ADD && strcmp(name, "coef") == 0) continue; /* given apart */
        if (!def) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "attrs: %s has no attribute %R", zs_op_name(op), key);
            return -1;
        }
        if (set_attr(def, value, out) < 0) return -1;
    }
    return 0;
}

static PyObject *attr_value(const attr_def *def, const zs_attrs *a) {
    const char *const at = (const char *)a + def->offset, *const at2 = (const char *)a + def->offset2;
    switch (def->kind) {
    case ATTR_INT: return PyLong_FromLong(*(const int *)(const void *)at);
    case ATTR_PAIR: return Py_BuildValue("ii", *(const int *)(const void *)at, *(const int *)(const void *)at2);
    case ATTR_BOOL: return PyBool_FromLong(*(const bool *)(const void *)at);
    case ATTR_DOUBLE: return PyFloat_FromDouble(*(const double *)(const void *)at);
    default: return PyUnicode_FromString(zs_bn_mode_name(*(const zs_bn_mode *)(const void *)at));
    }
}

/* dict[key] = value, which is stolen; -1 if value is NULL or the dict refuses. */
static int put(PyObject *dict, const char *key, PyObject *value) {
    const int failed = !value || PyDict_SetItemString(dict, key, value) < 0;
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

static PyObject *shape_tuple(zs_shape s) { return Py_BuildValue("iii", s.C, s.H, s.W); }

/* --- Graph -------------------------------------------------------------------------------------------------------- */

static void graph_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    zs_graph_free(((graph_object *)self)->graph);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *attrs_dict(const zs_graph *g, const zs_node *n) {
    PyObject *dict = PyDict_New();
    for (int i = 0; dict && i < N_ATTRS; i++)
        if ((ATTRS[i].ops >> n->op & 1) && put(dict, ATTRS[i].name, attr_value(&ATTRS[i], &n->attrs)) < 0)
            Py_CLEAR(dict);
    if (dict && n->op == ZS_OP_ADD) {
        PyObject *coefs = PyList_New(n->n_inputs);
        for (int j = 0; coefs && j < n->n_inputs; j++) {
            PyObject *c = PyFloat_FromDouble(g->coefs[n->first_input + j]);
            if (c)
                PyList_SET_ITEM(coefs, j, c);
            else
                Py_CLEAR(coefs);
        }
        if (put(dict, "coef", coefs) < 0) Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *node_dict(const zs_graph *g, int i) {
    const zs_node *n = &g->nodes[i];
    PyObject *dict = PyDict_New(), *inputs = PyList_New(n->n_inputs), *weights = PyDict_New();
    if (!dict || !inputs || !weights) goto fail;
    for (int j = 0; j < n->n_inputs; j++) {
        PyObject *id = PyLong_FromLong(zs_node_inputs(g, i)[j]);
        if (!id) goto fail;
        PyList_SET_ITEM(inputs, j, id);
    }
    for (int r = 0; r < ZS_N_ROLES; r++)
        if (n->tensors[r] >= 0 &&
            put(weights, zs_role_name((zs_role)r), PyUnicode_FromString(g->tensors[n->tensors[r]].name)) < 0)
            goto fail;
    if (put(dict, "id", PyLong_FromLong(i)) < 0 || put(dict, "op", PyUnicode_FromString(zs_op_name(n->op))) < 0 ||
        put(dict, "name", PyUnicode_FromString(n->name)) < 0 || put(dict, "attrs", attrs_dict(g, n)) < 0 ||
        put(dict, "shape", shape_tuple(n->shape)) < 0 || put(dict, "inputs", Py_NewRef(inputs)) < 0 ||
        put(dict, "weights", Py_NewRef(weights)) < 0)
        goto fail;
    Py_DECREF(inputs);
    Py_DECREF(weights);
    return dict;
fail:
    Py_XDECREF(dict);
    Py_XDECREF(inputs);
    Py_XDECREF(weights);
    return NULL;
}

static PyObject *graph_nodes(PyObject *self, PyObject *unused) {
    (void)unused;
    const zs_graph *g = ((graph_object *)self)->graph;
    PyObject *list = PyList_New(g->n_nodes);
    for (int i = 0; list && i < g->n_nodes; i++) {
        PyObject *node = node_dict(g, i);
        if (node)
            PyList_SET_ITEM(list, i, node);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *tensor_shape(const zs_tensor *t) {
    if (t->ndim == 4) return Py_BuildValue("iiii", t->O, t->I, t->R, t->S);
    return t->ndim == 2 ? Py_BuildValue("ii", t->O, t->I) : Py_BuildValue("(i)", t->O);
}

static PyObject *graph_tensors(PyObject *self, PyObject *unused) {
    (void)unused;
    const zs_graph *g = ((graph_object *)self)->graph;
    PyObject *list = PyList_New(g->n_tensors);
    for (int i = 0; list && i < g->n_tensors; i++) {
        const zs_tensor *t = &g->tensors[i];
        PyObject *dict = PyDict_New();
        if (!dict || put(dict, "name", PyUnicode_FromString(t->name)) < 0 ||
            put(dict, "role", PyUnicode_FromString(zs_role_name(t->role))) < 0 ||
            put(dict, "shape", tensor_shape(t)) < 0 || put(dict, "counted", PyBool_FromLong(t->counted)) < 0 ||
            put(dict, "node", PyLong_FromLong(t->node)) < 0 || put(dict, "groups", PyLong_FromLong(t->groups)) < 0) {
            Py_XDECREF(dict);
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, dict);
    }
    return list;
}

static PyObject *graph_input_shape(PyObject *self, void *unused) {
    (void)unused;
    return shape_tuple(((graph_object *)self)->graph->nodes[0].shape);
}

static PyObject *graph_num_classes(PyObject *self, void *unused) {
    (void)unused;
    const zs_graph *g = ((graph_object *)self)->graph;
    return PyLong_FromLong(g->nodes[g->n_nodes - 1].shape.C);
}

static PyObject *graph_repr(PyObject *self) {
    const zs_graph *g = ((graph_object *)self)->graph;
    const zs_shape in = g->nodes[0].shape;
    return PyUnicode_FromFormat("<Graph: %d nodes, %d tensors, input (%d, %d, %d), %d classes>", g->n_nodes,
                                g->n_tensors, in.C, in.H, in.W, g->nodes[g->n_nodes - 1].shape.C);
}

static PyMethodDef graph_methods[] = {
    {"nodes", graph_nodes, METH_NOARGS, "nodes() -> list of dicts: id, op, name, inputs, attrs, weights, shape"},
    {"tensors", graph_tensors, METH_NOARGS, "tensors() -> list of dicts: name, role, shape, counted, node, groups"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef graph_getset[] = {
    {"input_shape", graph_input_shape, NULL, "(C, H, W) of one image", NULL},
    {"num_classes", graph_num_classes, NULL, "number of logits", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot graph_slots[] = {
    {Py_tp_dealloc, graph_dealloc},
    {Py_tp_methods, graph_methods},
    {Py_tp_getset, graph_getset},
    {Py_tp_repr, graph_repr},
    {Py_tp_doc, "An immutable network. Made by GraphBuilder or space_build."},
    {0, NULL},
};

static PyType_Spec graph_spec = {
    .name = "zeroshot._core.Graph",
    .basicsize = sizeof(graph_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = graph_slots,
};

static PyObject *wrap(const zs_py_state *state, zs_graph *graph) {
    graph_object *self = (graph_object *)state->graph_type->tp_alloc(state->graph_type, 0);
    if (!self) {
        zs_graph_free(graph);
        return NULL;
    }
    self->graph = graph;
    return (PyObject *)self;
}

PyObject *zs_py_graph_wrap(PyObject *module, zs_graph *graph) { return wrap(zs_py_state_of(module), graph); }

const zs_graph *zs_py_graph_get(PyObject *module, PyObject *obj) {
    if (Py_IS_TYPE(obj, zs_py_state_of(module)->graph_type)) return ((graph_object *)obj)->graph;
    PyErr_Format(PyExc_TypeError, "graph: expected a zeroshot._core.Graph, got %.100s", Py_TYPE(obj)->tp_name);
    return NULL;
}

/* --- GraphBuilder ------------------------------------------------------------------------------------------------- */

static PyObject *builder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    int C, H, W;
    static const char *const names[] = {"channels", "height", "width", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iii:GraphBuilder", (char **)names, &C, &H, &W)) return NULL;
    builder_object *self = (builder_object *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    zs_error err;
    zs_error_clear(&err);
    self->builder = zs_builder_make((zs_shape){C, H, W}, &err);
    if (!self->builder) {
        const zs_py_state *state = zs_py_state_of_type(type);
        if (state) zs_py_raise_with(state, &err);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void builder_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    zs_builder_free(((builder_object *)self)->builder);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Raises what the builder keeps; it stays failed, as its contract says. */
static PyObject *raise_builder(PyObject *self) {
    const zs_py_state *state = zs_py_state_of_type(Py_TYPE(self));
    return state ? zs_py_raise_with(state, zs_builder_error(((builder_object *)self)->builder)) : NULL;
}

static bool builder_open(PyObject *self) {
    if (((builder_object *)self)->builder) return true;
    PyErr_SetString(PyExc_ValueError, "the graph is finished: make a new builder");
    return false;
}

static PyObject *builder_add(PyObject *self, PyObject *args) {
    const char *op_name, *name;
    PyObject *input_list, *attrs, *coef_list = Py_None, *inputs = NULL, *coefs = NULL;
    int *ids = NULL, result = -1;
    double *values = NULL;
    zs_attrs a;
    if (!builder_open(self)) return NULL;
    if (!PyArg_ParseTuple(args, "ssOO|O:add", &op_name, &name, &input_list, &attrs, &coef_list)) return NULL;
    const int op = zs_op_by_name(op_name);
    if (op <= ZS_OP_INPUT) {
        PyErr_Format(PyExc_ValueError, "op: unknown operation '%.60s'", op_name);
        return NULL;
    }
    if (zs_py_attrs(attrs, (zs_op_kind)op, &a) < 0) return NULL;
    inputs = PySequence_Tuple(input_list);
    if (!inputs) return NULL;
    const Py_ssize_t n = PyTuple_GET_SIZE(inputs);
    if (n > ZS_MAX_NODES) {
        PyErr_Format(PyExc_ValueError, "inputs: at most %d, got %zd", ZS_MAX_NODES, n);
        goto done;
    }
    if (coef_list != Py_None) {
        coefs = PySequence_Tuple(coef_list);
        if (!coefs) goto done;
        if (PyTuple_GET_SIZE(coefs) != n) {
            PyErr_Format(PyExc_ValueError, "coefs: expected one per input (%zd), got %zd", n, PyTuple_GET_SIZE(coefs));
            goto done;
        }
    }
    ids = zs_alloc((size_t)(n + 1) * sizeof *ids);
    values = zs_alloc((size_t)(n + 1) * sizeof *values);
    if (!ids || !values) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (get_int(PyTuple_GET_ITEM(inputs, i), "inputs", &ids[i]) < 0) goto done;
        values[i] = coefs ? PyFloat_AsDouble(PyTuple_GET_ITEM(coefs, i)) : 1.0;
        if (PyErr_Occurred()) goto done;
    }
    zs_builder *b = ((builder_object *)self)->builder;
    result = zs_builder_add(b, (zs_op_kind)op, name, (int)n, ids, values, &a);
    if (result < 0) raise_builder(self);
done:
    Py_XDECREF(inputs);
    Py_XDECREF(coefs);
    zs_free(ids);
    zs_free(values);
    return result < 0 ? NULL : PyLong_FromLong(result);
}

static PyObject *builder_shape(PyObject *self, PyObject *arg) {
    int node;
    if (!builder_open(self) || get_int(arg, "node", &node) < 0) return NULL;
    const zs_shape s = zs_builder_shape(((builder_object *)self)->builder, node);
    if (s.C > 0) return shape_tuple(s);
    PyErr_Format(PyExc_ValueError, "node: there is no node %d", node);
    return NULL;
}

static PyObject *builder_feature(PyObject *self, PyObject *arg) {
    int node;
    if (!builder_open(self) || get_int(arg, "node", &node) < 0) return NULL;
    zs_builder_set_feature(((builder_object *)self)->builder, node);
    Py_RETURN_NONE;
}

static PyObject *builder_finish(PyObject *self, PyObject *arg) {
    int node;
    if (!builder_open(self) || get_int(arg, "output", &node) < 0) return NULL;
    const zs_py_state *state = zs_py_state_of_type(Py_TYPE(self));
    if (!state) return NULL;
    zs_error err;
    zs_error_clear(&err);
    zs_graph *graph;
    zs_builder *b = ((builder_object *)self)->builder;
    ((builder_object *)self)->builder = NULL;
    if (zs_builder_finish(b, node, &graph, &err) != ZS_OK) return zs_py_raise_with(state, &err);
    return wrap(state, graph);
}

static PyMethodDef builder_methods[] = {
    {"add", builder_add, METH_VARARGS, "add(op, name, inputs, attrs, coefs=None) -> node id"},
    {"shape", builder_shape, METH_O, "shape(node) -> (C, H, W)"},
    {"feature", builder_feature, METH_O, "feature(node): a stage, for scores that look at these"},
    {"finish", builder_finish, METH_O, "finish(output) -> Graph; the builder is used up"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot builder_slots[] = {
    {Py_tp_new, builder_new},
    {Py_tp_dealloc, builder_dealloc},
    {Py_tp_methods, builder_methods},
    {Py_tp_doc, "GraphBuilder(channels, height, width): makes a Graph node by node; node 0 is the image."},
    {0, NULL},
};

static PyType_Spec builder_spec = {
    .name = "zeroshot._core.GraphBuilder",
    .basicsize = sizeof(builder_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = builder_slots,
};

int zs_py_graph_init(PyObject *module) {
    zs_py_state *state = zs_py_state_of(module);
    state->graph_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &graph_spec, NULL);
    state->builder_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &builder_spec, NULL);
    if (!state->graph_type || !state->builder_type) return -1;
    return PyModule_AddType(module, state->graph_type) < 0 ? -1 : PyModule_AddType(module, state->builder_type);
}
