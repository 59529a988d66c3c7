/* zeroshot._testing: products of a network's Hessian and a direction, by its dual graph. */
#include "py/testing/network.h"

#include "core/engine.h"

typedef struct product {
    zs_graph *graph;
    zs_dual dual;
    zs_plan *plan;
    zs_kernels kernels;
    zs_exec exec;
    zs_engine engine;
    char *shared;
    size_t shared_bytes;
    void *memory;
    zs_array *out; /* by tensor, of the original graph */
} product;

static void add_part(void *self, int tensor, int group, const void *dw) {
    (void)group;
    product *p = self;
    const zs_tensor *t = &p->graph->tensors[tensor];
    double *part = PyMem_RawMalloc(t->size * sizeof *part), *sum = p->out[tensor].v.p;
    if (!part) return;
    p->kernels.store_weight(t, dw, part);
    for (size_t i = 0; i < t->size; i++) sum[i] += part[i];
    PyMem_RawFree(part);
}

static void layout(product *p, zs_arena *arena) {
    zs_weights_layout(&p->engine.weights, p->dual.graph, p->kernels.dtype, arena);
    zs_engine_layout(&p->engine, arena);
    p->shared_bytes = zs_engine_shared_bytes(&p->engine);
    p->shared = zs_arena_take(arena, p->shared_bytes);
}

static bool take_memory(product *p) {
    zs_arena arena = {0};
    p->engine = (zs_engine){.graph = p->dual.graph, .plan = p->plan, .exec = &p->exec};
    layout(p, &arena);
    if (!zs_take_filled(arena.used, &p->memory)) return false;
    zs_arena_start(&arena, p->memory, arena.used);
    layout(p, &arena);
    zs_engine_share(&p->engine, p->shared);
    return true;
}

/* Items of a list, one for each tensor; None only where `optional`. */
static bool get_arrays(const zs_graph *g, PyObject *list, bool optional, bool writable, zs_array *out) {
    if (!zs_expect(PyList_GET_SIZE(list) == g->n_tensors, "an array for each tensor")) return false;
    for (int t = 0; t < g->n_tensors; t++) {
        PyObject *item = PyList_GET_ITEM(list, t);
        if (!(optional ? zs_dense_or_none : writable ? zs_dense_out : zs_dense)(item, &out[t])) return false;
        if (optional && out[t].type < 0) continue;
        if (!zs_expect(zs_is(&out[t], NPY_DOUBLE, g->tensors[t].size), "float64 arrays of the tensors' sizes"))
            return false;
    }
    return true;
}

static void load(product *p, const zs_array *weights, const zs_array *directions) {
    const zs_graph *g = p->dual.graph;
    for (int t = 0; t < p->graph->n_tensors; t++) {
        const int v = p->dual.direction[t];
        p->kernels.load_weight(&g->tensors[t], ZS_F64, weights[t].v.p, p->engine.weights.tensors[t]);
        if (v >= 0) p->kernels.load_weight(&g->tensors[v], ZS_F64, directions[t].v.p, p->engine.weights.tensors[v]);
    }
}

/* Images, labels and losses of whole groups. */
static bool batch_ready(const product *p, int group_size, const zs_array *x, const zs_array *y,
                        const zs_array *losses) {
    const zs_shape s = p->graph->nodes[0].shape;
    const int K = p->graph->nodes[p->graph->n_nodes - 1].shape.C;
    const size_t n = y->n;
    if (!zs_expect(zs_is(y, NPY_INT64, n) && group_size > 0 && n > 0 && n % (size_t)group_size == 0, "whole groups") ||
        !zs_expect(zs_is(x, NPY_DOUBLE, n * (size_t)s.C * (size_t)s.H * (size_t)s.W), "float64 images (N, C, H, W)") ||
        !zs_expect(zs_is(losses, NPY_DOUBLE, n / (size_t)group_size), "a float64 loss for each group"))
        return false;
    for (size_t i = 0; i < n; i++) {
        const int64_t label = ((const int64_t *)y->v.p)[i];
        if (!zs_expect(0 <= label && label < K, "labels in [0, K)")) return false;
    }
    return true;
}

static bool run(product *p, int n_groups, const zs_array *x, const zs_array *y, double *losses, zs_error *err) {
    const zs_observer observer = {.self = p, .gradient = add_part};
    if (zs_engine_forward(&p->engine, ZS_LOSS_CROSS_ENTROPY_TANGENT, 0, n_groups, ZS_F64, x->v.p, y->v.p, &observer,
                          losses, NULL, err) == ZS_OK)
        zs_engine_backward(&p->engine, err);
    return err->status == ZS_OK;
}

static PyObject *hessian_product(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    PyObject *network, *weights, *directions, *products, *result = NULL;
    zs_array x, y, losses, *arrays = NULL;
    const char *table = "reference";
    int group_size, is_f64 = 1, dead = 0, identity_bn = 0, recompute = 0, n_threads = 1, algo = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O!O&O&iO!O&|$spppiii:hessian_product",
                                     ZS_NAMES("network", "weights", "directions", "x", "y", "group_size", "products",
                                              "losses", "table", "float64", "dead", "identity_bn", "recompute",
                                              "n_threads", "algo"),
                                     &network, &PyList_Type, &weights, &PyList_Type, &directions, zs_dense, &x,
                                     zs_dense, &y, &group_size, &PyList_Type, &products, zs_dense_out, &losses, &table,
                                     &is_f64, &dead, &identity_bn, &recompute, &n_threads, &algo))
        return NULL;
    zs_error err;
    zs_error_clear(&err);
    product p = {.graph = zs_make_graph(network)};
    if (!p.graph) return NULL;
    const size_t n = (size_t)p.graph->n_tensors;
    bool *moves = PyMem_Calloc(n + 1, sizeof *moves);
    arrays = PyMem_Calloc(3 * n + 1, sizeof *arrays);
    if (!arrays || !moves) {
        PyErr_NoMemory();
        goto done;
    }
    p.out = arrays + 2 * n;
    if (!get_arrays(p.graph, weights, false, false, arrays) ||
        !get_arrays(p.graph, directions, true, false, arrays + n) ||
        !get_arrays(p.graph, products, false, true, p.out) || !batch_ready(&p, group_size, &x, &y, &losses) ||
        !zs_expect(zs_cpu_kernels(is_f64 ? ZS_F64 : ZS_F32, table, &p.kernels), "a table that runs here"))
        goto done;
    for (size_t t = 0; t < n; t++) moves[t] = arrays[n + t].type >= 0;
    p.exec = (zs_exec){.backend = &zs_backend_cpu, .kernels = &p.kernels, .n_threads = n_threads};
    const int n_groups = (int)(y.n / (size_t)group_size);
    if (zs_dual_make(p.graph, moves, &p.dual, &err) != ZS_OK) goto fail;
    if (p.dual.graph) {
        const zs_plan_spec spec = {.kernels = &p.kernels,
                                   .group_size = group_size,
                                   .n_groups = n_groups,
                                   .backward = true,
                                   .dead = dead,
                                   .params = ZS_PARAMS_WEIGHTS,
                                   .identity_bn = identity_bn,
                                   .algo = (zs_algo)algo,
                                   .recompute = (zs_recompute)recompute};
        if (zs_plan_make(p.dual.graph, &spec, &p.plan, &err) != ZS_OK) goto fail;
        if (!take_memory(&p)) goto done;
        load(&p, arrays, arrays + n);
        if (!run(&p, n_groups, &x, &y, losses.v.p, &err)) goto fail;
    }
    result = Py_NewRef(p.dual.graph ? Py_True : Py_False);
fail:
    if (!result) zs_raise(&err);
done:
    zs_free_aligned(p.memory);
    zs_plan_free(p.plan);
    zs_dual_free(&p.dual);
    zs_graph_free(p.graph);
    PyMem_Free(arrays);
    PyMem_Free(moves);
    return result;
}

PyMethodDef zs_testing_hessian[] = {
    {"hessian_product", ZS_KEYWORDS(hessian_product), METH_VARARGS | METH_KEYWORDS,
     "hessian_product(network, weights, directions, x, y, group_size, products, losses, *, table='reference', "
     "float64=True, dead=False, identity_bn=False, recompute=0, n_threads=1, algo=0) -> whether any tangent reaches "
     "the output; adds the groups' products to `products`, whose losses are derivatives along the direction"},
    {NULL, NULL, 0, NULL},
};
