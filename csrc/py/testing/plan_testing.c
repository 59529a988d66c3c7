/* zeroshot._testing: builder and plans: a network as a list of nodes, its plan as a dict. */
#include "py/testing/network.h"

#include "core/builder.h"
#include "core/plan.h"

/* An attribute as a number, or one of a pair (index 0 or 1); what is absent keeps its default. */
static void get_attr(PyObject *attrs, const char *name, int index, int *out) {
    PyObject *value = PyDict_GetItemString(attrs, name);
    if (!value || PyErr_Occurred()) return;
    if (PyTuple_Check(value) && index < PyTuple_GET_SIZE(value)) value = PyTuple_GET_ITEM(value, index);
    const long n = PyLong_AsLong(value);
    *out = n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : (int)n;
}

static void get_number(PyObject *attrs, const char *name, double *out) {
    PyObject *value = PyDict_GetItemString(attrs, name);
    if (value && !PyErr_Occurred()) *out = PyFloat_AsDouble(value);
}

static bool get_attrs(PyObject *attrs, zs_op_kind op, zs_attrs *a) {
    *a = zs_attrs_default();
    int bias = a->bias, include = a->count_include_pad, affine = a->affine, transpose_b = a->transpose_b;
    get_attr(attrs, op == ZS_OP_LINEAR ? "out_features" : "out_channels", 0, &a->K);
    if (op == ZS_OP_SLICE_CHANNELS) get_attr(attrs, "channels", 0, &a->K);
    get_attr(attrs, "start", 0, &a->start);
    get_attr(attrs, "heads", 0, &a->heads);
    get_attr(attrs, "transpose_b", 0, &transpose_b);
    get_attr(attrs, "groups", 0, &a->groups);
    get_attr(attrs, "bias", 0, &bias);
    get_attr(attrs, "count_include_pad", 0, &include);
    get_attr(attrs, "affine", 0, &affine);
    if (op == ZS_OP_ZERO)
        get_attr(attrs, "stride", 0, &a->stride);
    else {
        const struct {
            const char *name;
            int *h, *w;
        } pairs[] = {
            {"kernel", &a->window.R, &a->window.S},
            {"stride", &a->window.stride_h, &a->window.stride_w},
            {"padding", &a->window.pad_h, &a->window.pad_w},
            {"dilation", &a->window.dil_h, &a->window.dil_w},
        };
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            get_attr(attrs, pairs[i].name, 0, pairs[i].h);
            get_attr(attrs, pairs[i].name, 1, pairs[i].w);
        }
    }
    a->bias = bias, a->count_include_pad = include, a->affine = affine, a->transpose_b = transpose_b;
    PyObject *mode = PyDict_GetItemString(attrs, "mode");
    if (op == ZS_OP_LAYER_NORM) a->eps = 1e-6;
    get_number(attrs, "eps", &a->eps);
    get_number(attrs, "scale", &a->scale);
    get_number(attrs, "initial", &a->initial);
    const char *text = mode ? PyUnicode_AsUTF8(mode) : "batch";
    if (text) a->bn_mode = (zs_bn_mode)zs_bn_mode_by_name(text);
    return !PyErr_Occurred();
}

PyObject *zs_raise(const zs_error *err) {
    PyErr_SetString(err->status == ZS_ENOMEM ? PyExc_MemoryError : PyExc_ValueError, err->text);
    return NULL;
}

enum { MAX_INPUTS = 256 };

static bool add_node(zs_builder *b, PyObject *node) {
    const char *op, *name;
    PyObject *inputs, *attrs;
    int ids[MAX_INPUTS];
    double coefs[MAX_INPUTS];
    zs_attrs a;
    if (!PyArg_ParseTuple(node, "ssO!O!", &op, &name, &PyTuple_Type, &inputs, &PyDict_Type, &attrs) ||
        !zs_expect(PyTuple_GET_SIZE(inputs) <= MAX_INPUTS, "at most 256 inputs") ||
        !get_attrs(attrs, (zs_op_kind)zs_op_by_name(op), &a))
        return false;
    PyObject *coef = PyDict_GetItemString(attrs, "coef");
    const int n = (int)PyTuple_GET_SIZE(inputs);
    if (!zs_expect(!coef || (PyList_Check(coef) && PyList_GET_SIZE(coef) == n), "a list of one coef for each input"))
        return false;
    for (int i = 0; i < n; i++) {
        ids[i] = (int)PyLong_AsLong(PyTuple_GET_ITEM(inputs, i));
        coefs[i] = coef ? PyFloat_AsDouble(PyList_GET_ITEM(coef, i)) : 1.0;
    }
    if (PyErr_Occurred()) return false;
    zs_builder_add(b, (zs_op_kind)zs_op_by_name(op), name, n, ids, coefs, &a);
    return true;
}

zs_graph *zs_make_graph(PyObject *network) {
    zs_graph *graph = NULL;
    zs_shape in;
    PyObject *nodes;
    zs_error err;
    zs_error_clear(&err);
    if (!PyArg_ParseTuple(network, "(iii)O!;network: expected ((C, H, W), list of nodes)", &in.C, &in.H, &in.W,
                          &PyList_Type, &nodes))
        return NULL;
    const int n = (int)PyList_GET_SIZE(nodes);
    zs_builder *b = zs_builder_make(in, &err);
    for (int i = 0; b && i < n; i++)
        if (!add_node(b, PyList_GET_ITEM(nodes, i))) {
            zs_builder_free(b);
            return NULL;
        }
    if (!b || zs_builder_finish(b, n, &graph, &err) != ZS_OK) zs_raise(&err);
    return graph;
}

static const char *const KIND_NAMES[] = {"skip", "fill", "view", "lazy", "run"};

static PyObject *describe_plan(const zs_plan *p) {
    PyObject *kinds = PyList_New(0), *storages = PyList_New(0), *out = NULL;
    const size_t samples = (size_t)p->spec.group_size * (size_t)p->spec.n_groups;
    bool ok = true;
    for (int i = 0; ok && i < p->graph->n_nodes; i++)
        ok = zs_append(kinds, PyUnicode_FromString(KIND_NAMES[p->nodes[i].kind]));
    for (int i = 0; ok && i < p->n_storages; i++) {
        const zs_storage *s = &p->storages[i];
        const size_t n_bytes = s->elements * samples * zs_dtype_size(p->spec.kernels->dtype);
        if (s->last >= 0)
            ok = zs_append(storages,
                           Py_BuildValue("(nnii)", (Py_ssize_t)s->offset, (Py_ssize_t)n_bytes, s->first, s->last));
    }
    if (ok)
        out = Py_BuildValue("{s:n,s:n,s:n,s:i,s:i,s:L,s:O,s:O,s:O,s:O}", "pool_bytes", (Py_ssize_t)p->pool_bytes,
                            "scratch_bytes", (Py_ssize_t)p->scratch_bytes, "partial_bytes",
                            (Py_ssize_t)p->partial_bytes, "n_steps", p->n_steps, "n_forward_steps", p->n_forward_steps,
                            "macs", (long long)p->macs, "has_path", p->has_path ? Py_True : Py_False, "disjoint",
                            zs_plan_disjoint(p) ? Py_True : Py_False, "kinds", kinds, "storages", storages);
    Py_XDECREF(kinds);
    Py_XDECREF(storages);
    return out;
}

/* The dual along a direction of all weights, in place of the graph. */
static bool take_dual(zs_graph **graph, zs_error *err) {
    zs_dual dual = {0};
    bool *moves = PyMem_Calloc((size_t)(*graph)->n_tensors + 1, sizeof *moves);
    for (int t = 0; moves && t < (*graph)->n_tensors; t++) moves[t] = (*graph)->tensors[t].counted;
    const bool ok = moves && zs_dual_make(*graph, moves, &dual, err) == ZS_OK && dual.graph;
    PyMem_Free(moves);
    if (ok) {
        zs_graph_free(*graph);
        *graph = dual.graph;
        dual.graph = NULL;
    } else if (err->status == ZS_OK) {
        zs_fail(err, ZS_EINVAL, "network: expected weights on a way to the output");
    }
    zs_dual_free(&dual);
    return ok;
}

static PyObject *plan_info(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *network, *out = NULL;
    int group_size = 1, n_groups = 1, backward = 1, dead = 0, all_params = 0, is_f64 = 0, recompute = 0, dual = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$iippppip:plan_info",
                                     ZS_NAMES("network", "group_size", "n_groups", "backward", "dead", "all_params",
                                              "float64", "recompute", "dual"),
                                     &network, &group_size, &n_groups, &backward, &dead, &all_params, &is_f64,
                                     &recompute, &dual) ||
        !zs_expect(group_size > 0 && n_groups > 0, "group_size and n_groups above 0"))
        return NULL;
    zs_graph *graph = zs_make_graph(network);
    if (!graph) return NULL;
    zs_kernels kernels;
    zs_cpu_kernels(is_f64 ? ZS_F64 : ZS_F32, "reference", &kernels);
    const zs_plan_spec spec = {.kernels = &kernels,
                               .group_size = group_size,
                               .n_groups = n_groups,
                               .backward = backward,
                               .dead = dead,
                               .recompute = (zs_recompute)recompute,
                               .params = all_params ? ZS_PARAMS_ALL : ZS_PARAMS_WEIGHTS};
    zs_plan *plan = NULL;
    zs_error err;
    zs_error_clear(&err);
    if ((!dual || take_dual(&graph, &err)) && zs_plan_make(graph, &spec, &plan, &err) == ZS_OK)
        out = describe_plan(plan);
    else
        zs_raise(&err);
    zs_plan_free(plan);
    zs_graph_free(graph);
    return out;
}

PyMethodDef zs_testing_plan[] = {
    {"plan_info", ZS_KEYWORDS(plan_info), METH_VARARGS | METH_KEYWORDS,
     "plan_info(network, *, group_size=1, n_groups=1, backward=True, dead=False, all_params=False, float64=False, "
     "recompute=0, dual=False)"},
    {NULL, NULL, 0, NULL},
};
