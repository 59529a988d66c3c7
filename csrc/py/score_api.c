#include "py/score_api.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/init.h"
#include "cpu/dispatch.h"
#include "py/config_api.h"
#include "py/errors.h"
#include "py/graph_object.h"
#include "py/numpy_api.h"
#include "py/worker.h"

/* Everything that one call of run() owns. */
typedef struct call {
    zs_job job;
    zs_kernels kernels[2];       /* by zs_dtype */
    zs_source *sources;
    PyObject *source_list;       /* tuple of the source tuples: keeps arrays alive */
    zs_score_run *runs;
    PyObject *run_list;          /* tuple of the run tuples: keeps edges alive */
    PyArrayObject **run_edges, **run_values, **run_counts, **run_signs;
    Py_ssize_t n_runs;
    zs_given_weight *given;
    PyObject *weights;           /* the dict's own references: a copy of the dict */
    zs_gradient_sink sink;
    double **sink_tensors;
    PyObject *gradients;         /* dict */
    PyArrayObject *losses, *logits;
    zs_py_workspace *workspace;
    PyThreadState *saved;        /* while the GIL is released */
    struct timespec last_poll;
} call;

/* --- stopping ----------------------------------------------------------------------------------------------------- */

enum { POLL_NANOSECONDS = 10 * 1000 * 1000 };

/* Signals are looked at every 10 ms of work by the thread that called. True: an exception is set. */
static bool poll(void *self) {
    call *c = self;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t passed =
        (int64_t)(now.tv_sec - c->last_poll.tv_sec) * 1000000000 + (now.tv_nsec - c->last_poll.tv_nsec);
    if (passed < POLL_NANOSECONDS) return false;
    PyEval_RestoreThread(c->saved);
    const bool stop = PyErr_CheckSignals() != 0;
    c->saved = PyEval_SaveThread();
    clock_gettime(CLOCK_MONOTONIC, &c->last_poll);
    return stop;
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static bool real_type(PyArrayObject *a, zs_dtype *dtype) {
    *dtype = PyArray_TYPE(a) == NPY_DOUBLE ? ZS_F64 : ZS_F32;
    return PyArray_TYPE(a) == NPY_DOUBLE || PyArray_TYPE(a) == NPY_FLOAT;
}

static bool plain(PyArrayObject *a) {
    return PyArray_IS_C_CONTIGUOUS(a) && PyArray_ISALIGNED(a) && PyArray_ISNOTSWAPPED(a);
}

static int get_source(call *c, zs_source *source, PyObject *x, PyObject *y) {
    const zs_shape s = c->job.graph->nodes[0].shape;
    const int K = c->job.graph->nodes[c->job.graph->n_nodes - 1].shape.C;
    PyArrayObject *const images = (PyArrayObject *)x, *const labels = (PyArrayObject *)y;
    if (!PyArray_Check(x) || !real_type(images, &source->dtype) || !plain(images) || PyArray_NDIM(images) != 4) {
        PyErr_SetString(PyExc_TypeError, "x: expected a C-contiguous float32 or float64 array of four axes");
        return -1;
    }
    const npy_intp *const d = PyArray_DIMS(images);
    if (d[1] != s.C || d[2] != s.H || d[3] != s.W) {
        PyErr_Format(PyExc_ValueError, "x: expected images of shape (%d, %d, %d), got (%zd, %zd, %zd)", s.C, s.H, s.W,
                     d[1], d[2], d[3]);
        return -1;
    }
    if (!PyArray_Check(y) || PyArray_TYPE(labels) != NPY_INT64 || !plain(labels) || PyArray_NDIM(labels) != 1) {
        PyErr_SetString(PyExc_TypeError, "y: expected a C-contiguous int64 array of one axis");
        return -1;
    }
    if (PyArray_DIM(labels, 0) != d[0]) {
        PyErr_Format(PyExc_ValueError, "y: expected one label per image (%zd), got %zd", d[0], PyArray_DIM(labels, 0));
        return -1;
    }
    source->n_samples = d[0];
    source->x = PyArray_DATA(images);
    source->labels = PyArray_DATA(labels);
    for (npy_intp i = 0; i < d[0]; i++)
        if (source->labels[i] < 0 || source->labels[i] >= K) {
            PyErr_Format(PyExc_ValueError, "y: expected labels from 0 to %d, got %lld at position %zd", K - 1,
                         (long long)source->labels[i], i);
            return -1;
        }
    return 0;
}

/* The caller's x and y first, then what scores read in their place. */
static int get_sources(call *c, PyObject *x, PyObject *y, PyObject *more) {
    c->source_list = PySequence_Tuple(more);
    if (!c->source_list) return -1;
    const Py_ssize_t n = PyTuple_GET_SIZE(c->source_list);
    c->sources = PyMem_Calloc((size_t)n + 1, sizeof *c->sources);
    if (!c->sources) {
        PyErr_NoMemory();
        return -1;
    }
    if (get_source(c, &c->sources[0], x, y) < 0) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *pair = PyTuple_GET_ITEM(c->source_list, i), *own_x, *own_y;
        if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "OO", &own_x, &own_y)) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "sources: expected tuples (x, y)");
            return -1;
        }
        if (get_source(c, &c->sources[i + 1], own_x, own_y) < 0) return -1;
    }
    c->job.sources = c->sources;
    c->job.n_sources = (int)n + 1;
    return 0;
}

static int get_loss(const char *name, zs_loss *loss) {
    const int i = zs_loss_by_name(name);
    if (i < 0) {
        PyErr_Format(PyExc_ValueError, "loss: expected 'cross_entropy' or 'sum_logits', got '%.60s'", name);
        return -1;
    }
    *loss = (zs_loss)i;
    return 0;
}

static int get_algo(const char *name, zs_algo *algo) {
    static const char *const names[] = {"direct", "auto", "f4", "f2"}; /* in the order of zs_algo */
    for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
        if (strcmp(names[i], name) == 0) {
            *algo = (zs_algo)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "algo: expected 'auto', 'direct', 'f2' or 'f4', got '%.60s'", name);
    return -1;
}

static int get_edges(call *c, Py_ssize_t i, PyObject *edges) {
    zs_score_run *r = &c->runs[i];
    if (edges == Py_None) {
        if (!r->score->takes_edges) return 0;
        PyErr_Format(PyExc_ValueError, "edges: %s needs interval borders", r->score->name);
        return -1;
    }
    PyArrayObject *a = c->run_edges[i] = (PyArrayObject *)PyArray_FROMANY(edges, NPY_DOUBLE, 1, 1, NPY_ARRAY_CARRAY_RO);
    if (!a) return -1;
    const npy_intp n = PyArray_DIM(a, 0);
    const double *e = PyArray_DATA(a);
    bool ordered = n >= 2 && n <= 4096;
    for (npy_intp j = 0; ordered && j < n; j++) ordered = e[j] >= 0 && (j == 0 || e[j] > e[j - 1]); /* NaN fails */
    if (!ordered) {
        PyErr_SetString(PyExc_ValueError, "edges: expected 2 to 4096 increasing numbers from 0 up");
        return -1;
    }
    r->n_edges = (int)n;
    r->edges = e;
    npy_intp dims[2] = {r->score->counts_nodes ? c->job.graph->n_nodes : c->job.graph->n_tensors, n - 1};
    c->run_counts[i] = (PyArrayObject *)PyArray_ZEROS(2, dims, NPY_INT64, 0);
    if (!c->run_counts[i]) return -1;
    r->counts = PyArray_DATA(c->run_counts[i]);
    return 0;
}

static int get_signs(call *c, Py_ssize_t i, PyObject *signs) {
    if (signs == Py_None) return 0;
    PyArrayObject *a = c->run_signs[i] = (PyArrayObject *)PyArray_FROMANY(signs, NPY_INT8, 1, 1, NPY_ARRAY_CARRAY_RO);
    if (!a) return -1;
    c->runs[i].signs = PyArray_DATA(a);
    c->runs[i].n_signs = (size_t)PyArray_DIM(a, 0);
    return 0;
}

static int get_own_init(zs_score_run *r, const char *name) {
    r->init = name ? zs_init_by_name(name) : -1;
    if (!name || r->init >= 0) return 0;
    PyErr_Format(PyExc_ValueError, "runs: unknown initialiser '%.60s'", name);
    return -1;
}

static int get_run(call *c, Py_ssize_t i, PyObject *tuple) {
    zs_score_run *r = &c->runs[i];
    const char *name, *loss, *init;
    PyObject *params, *edges, *signs;
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "runs: expected tuples");
        return -1;
    }
    if (!PyArg_ParseTuple(tuple, "sO!OiisizO", &name, &PyTuple_Type, &params, &edges, &r->group_size, &r->n_groups,
                          &loss, &r->source, &init, &signs))
        return -1;
    r->score = zs_score_by_name(name);
    if (!r->score) {
        PyErr_Format(PyExc_ValueError, "scores: unknown score '%.60s'", name);
        return -1;
    }
    if (get_loss(loss, &r->loss) < 0 || get_own_init(r, init) < 0) return -1;
    if (r->source < 0 || r->source >= c->job.n_sources) {
        PyErr_Format(PyExc_ValueError, "runs: %s reads source %d of %d", name, r->source, c->job.n_sources);
        return -1;
    }
    Py_ssize_t n_params = 0;
    while (r->score->params[n_params]) n_params++;
    if (PyTuple_GET_SIZE(params) != n_params) {
        PyErr_Format(PyExc_ValueError, "runs: %s takes %zd parameters, got %zd", name, n_params,
                     PyTuple_GET_SIZE(params));
        return -1;
    }
    for (Py_ssize_t p = 0; p < n_params; p++) {
        r->params[p] = PyFloat_AsDouble(PyTuple_GET_ITEM(params, p));
        if (r->params[p] == -1.0 && PyErr_Occurred()) return -1;
    }
    npy_intp n_tensors = c->job.graph->n_tensors;
    c->run_values[i] = (PyArrayObject *)PyArray_ZEROS(1, &n_tensors, NPY_DOUBLE, 0);
    if (!c->run_values[i]) return -1;
    r->tensor_values = PyArray_DATA(c->run_values[i]);
    return get_edges(c, i, edges) < 0 ? -1 : get_signs(c, i, signs);
}

static int get_runs(call *c, PyObject *runs) {
    c->run_list = PySequence_Tuple(runs);
    if (!c->run_list) return -1;
    const Py_ssize_t n = c->n_runs = PyTuple_GET_SIZE(c->run_list);
    c->runs = PyMem_Calloc((size_t)n + 1, sizeof *c->runs);
    c->run_edges = PyMem_Calloc((size_t)n + 1, sizeof *c->run_edges);
    c->run_values = PyMem_Calloc((size_t)n + 1, sizeof *c->run_values);
    c->run_counts = PyMem_Calloc((size_t)n + 1, sizeof *c->run_counts);
    c->run_signs = PyMem_Calloc((size_t)n + 1, sizeof *c->run_signs);
    if (!c->run_signs || !c->runs || !c->run_edges || !c->run_values || !c->run_counts) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        if (get_run(c, i, PyTuple_GET_ITEM(c->run_list, i)) < 0) return -1;
    c->job.runs = c->runs;
    c->job.n_runs = (int)n;
    return 0;
}

static int tensor_dims(const zs_tensor *t, npy_intp *dims) {
    const npy_intp all[4] = {t->O, t->I, t->R, t->S};
    for (int i = 0; i < 4; i++) dims[i] = all[i];
    return t->ndim;
}

static int get_weights(call *c, PyObject *weights) {
    if (weights == Py_None) return 0;
    if (!PyDict_Check(weights)) {
        PyErr_Format(PyExc_TypeError, "weights: expected a dict, got %.100s", Py_TYPE(weights)->tp_name);
        return -1;
    }
    c->weights = PyDict_Copy(weights);
    c->given = PyMem_Calloc((size_t)c->job.graph->n_tensors + 1, sizeof *c->given);
    if (!c->weights || !c->given) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t found = 0;
    for (int i = 0; i < c->job.graph->n_tensors; i++) {
        const zs_tensor *t = &c->job.graph->tensors[i];
        PyObject *value = PyDict_GetItemString(c->weights, t->name);
        if (!value) continue;
        found++;
        PyArrayObject *a = (PyArrayObject *)value;
        npy_intp dims[4];
        const int ndim = tensor_dims(t, dims);
        if (!PyArray_Check(value) || !real_type(a, &c->given[i].dtype) || !plain(a)) {
            PyErr_Format(PyExc_TypeError, "weights: '%s': expected a C-contiguous float32 or float64 array", t->name);
            return -1;
        }
        if (PyArray_NDIM(a) != ndim || !PyArray_CompareLists(PyArray_DIMS(a), dims, ndim)) {
            PyObject *want = PyArray_IntTupleFromIntp(ndim, dims);
            PyObject *got = PyArray_IntTupleFromIntp(PyArray_NDIM(a), PyArray_DIMS(a));
            if (want && got)
                PyErr_Format(PyExc_ValueError, "weights: '%s': expected shape %R, got %R", t->name, want, got);
            Py_XDECREF(want);
            Py_XDECREF(got);
            return -1;
        }
        c->given[i].data = PyArray_DATA(a);
    }
    if (found != PyDict_GET_SIZE(c->weights)) {
        Py_ssize_t at = 0;
        PyObject *key, *value;
        while (PyDict_Next(c->weights, &at, &key, &value)) {
            const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8(key) : NULL;
            bool known = false;
            for (int i = 0; name && i < c->job.graph->n_tensors && !known; i++)
                known = strcmp(name, c->job.graph->tensors[i].name) == 0;
            if (known) continue;
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "weights: the network has no tensor %R; its first is '%s'", key,
                         c->job.graph->n_tensors ? c->job.graph->tensors[0].name : "(none)");
            return -1;
        }
    }
    c->job.given = c->given;
    return 0;
}

static int get_sink(call *c, PyObject *sink) {
    if (sink == Py_None) return 0;
    const char *loss;
    int all_params;
    if (!PyTuple_Check(sink)) {
        PyErr_SetString(PyExc_TypeError, "sink: expected a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(sink, "iisp", &c->sink.group_size, &c->sink.n_groups, &loss, &all_params)) return -1;
    if (get_loss(loss, &c->sink.loss) < 0) return -1;
    const int64_t rows = (int64_t)c->sink.group_size * c->sink.n_groups;
    if (c->sink.group_size < 1 || c->sink.n_groups < 1 || rows > c->sources[0].n_samples) {
        PyErr_Format(PyExc_ValueError, "x: %d groups of %d need %lld samples, got %lld", c->sink.n_groups,
                     c->sink.group_size, (long long)rows, (long long)c->sources[0].n_samples);
        return -1;
    }
    const zs_graph *g = c->job.graph;
    c->gradients = PyDict_New();
    c->sink_tensors = PyMem_Calloc((size_t)g->n_tensors + 1, sizeof *c->sink_tensors);
    npy_intp dims[5] = {c->sink.n_groups, g->nodes[g->n_nodes - 1].shape.C};
    c->losses = (PyArrayObject *)PyArray_ZEROS(1, dims, NPY_DOUBLE, 0);
    dims[0] = (npy_intp)rows;
    c->logits = (PyArrayObject *)PyArray_ZEROS(2, dims, NPY_DOUBLE, 0);
    if (!c->gradients || !c->sink_tensors || !c->losses || !c->logits) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = 0; i < g->n_tensors; i++) {
        const zs_tensor *t = &g->tensors[i];
        if (t->role > ZS_ROLE_BETA || !(t->counted || all_params)) continue;
        dims[0] = c->sink.n_groups;
        const int ndim = 1 + tensor_dims(t, dims + 1);
        PyArrayObject *a = (PyArrayObject *)PyArray_ZEROS(ndim, dims, NPY_DOUBLE, 0);
        const int failed = !a || PyDict_SetItemString(c->gradients, t->name, (PyObject *)a) < 0;
        if (a) c->sink_tensors[i] = PyArray_DATA(a);
        Py_XDECREF(a); /* the dict holds it */
        if (failed) return -1;
    }
    c->sink.tensors = c->sink_tensors;
    c->sink.losses = PyArray_DATA(c->losses);
    c->sink.logits = PyArray_DATA(c->logits);
    c->job.sink = &c->sink;
    return 0;
}

static int get_exec(call *c, PyObject *module, const char *dtype, int n_threads, const char *table, PyObject *workspace,
                    PyObject *cancel) {
    const zs_py_state *state = zs_py_state_of(module);
    zs_job *job = &c->job;
    if (strcmp(dtype, "float32") != 0 && strcmp(dtype, "float64") != 0) {
        PyErr_Format(PyExc_ValueError, "dtype: expected 'float32' or 'float64', got '%.60s'", dtype);
        return -1;
    }
    job->dtype = strcmp(dtype, "float64") == 0 ? ZS_F64 : ZS_F32;
    if (n_threads == 0 || n_threads < -4096 || n_threads > 4096) { /* negative: at most as many */
        PyErr_Format(PyExc_ValueError, "n_threads: expected 1 to 4096, got %d", n_threads);
        return -1;
    }
    if (!zs_cpu_kernels(ZS_F32, table, &c->kernels[ZS_F32]) || !zs_cpu_kernels(ZS_F64, table, &c->kernels[ZS_F64])) {
        PyObject *known = zs_py_kernel_tables(module, NULL);
        if (known)
            PyErr_Format(PyExc_ValueError, "kernels: expected 'auto' or a usable one of %R, got '%.60s'", known, table);
        Py_XDECREF(known);
        return -1;
    }
    /* A pool of OpenMP threads does not survive a fork: the child of a process that may have used it works alone. */
    job->exec = (zs_exec){.backend = &zs_backend_cpu,
                          .kernels = &c->kernels[job->dtype],
                          .n_threads = (long)getpid() == state->pid ? abs(n_threads) : 1,
                          .spare_small = n_threads < 0,
                          .poll = poll,
                          .poll_self = c};
    job->kernels[ZS_F32] = &c->kernels[ZS_F32];
    job->kernels[ZS_F64] = &c->kernels[ZS_F64];
    if (workspace != Py_None) {
        if (!Py_IS_TYPE(workspace, state->workspace_type)) {
            PyErr_SetString(PyExc_TypeError, "workspace: expected a Workspace or None");
            return -1;
        }
        zs_py_workspace *w = (zs_py_workspace *)workspace;
        if (w->busy) {
            PyErr_SetString(PyExc_RuntimeError, "workspace: in use by another call");
            return -1;
        }
        w->busy = true;
        c->workspace = (zs_py_workspace *)Py_NewRef(workspace);
        job->workspace = &w->workspace;
    }
    if (cancel != Py_None) {
        if (!Py_IS_TYPE(cancel, state->cancel_type)) {
            PyErr_SetString(PyExc_TypeError, "cancel: expected a CancelToken or None");
            return -1;
        }
        job->exec.cancel = &((zs_py_cancel *)cancel)->flag;
    }
    return 0;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

static const char *const STATUS_NAMES[ZS_N_RESULT_STATUSES] = {"ok", "no_signal", "nonfinite", "undefined"};

static PyObject *none_or(void *obj) { return Py_NewRef(obj ? (PyObject *)obj : Py_None); }

static PyObject *run_result(const call *c, Py_ssize_t i) {
    const zs_score_run *r = &c->runs[i];
    return Py_BuildValue("{s:d,s:d,s:s,s:z,s:i,s:N,s:N}", "value", r->value, "extra", r->extra, "status",
                         STATUS_NAMES[r->status], "reason", r->reason, "pass_index", r->pass, "tensor_values",
                         none_or(c->run_values[i]), "counts", none_or(c->run_counts[i]));
}

static PyObject *result(const call *c, bool measured_only) {
    const zs_job *job = &c->job;
    PyObject *runs = PyList_New(c->n_runs), *blame = NULL;
    if (!runs) return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(runs); i++) {
        PyObject *r = run_result(c, i);
        if (!r) goto fail;
        PyList_SET_ITEM(runs, i, r);
    }
    blame = job->blame.node < 0
                ? Py_NewRef(Py_None)
                : Py_BuildValue("sn", job->graph->nodes[job->blame.node].name, (Py_ssize_t)job->blame.count);
    if (!blame) goto fail;
    PyObject *out = Py_BuildValue("{s:N,s:n,s:L,s:i,s:L,s:L,s:s,s:N}", "runs", runs, "peak_bytes",
                                  (Py_ssize_t)job->peak_bytes, "macs", (long long)job->macs, "n_passes", job->n_passes,
                                  "samples_seen", (long long)job->samples_seen, "blocks_begun",
                                  (long long)job->blocks_begun, "kernels", c->kernels[job->dtype].name, "blame", blame);
    if (out && c->gradients && !measured_only &&
        (PyDict_SetItemString(out, "gradients", c->gradients) < 0 ||
         PyDict_SetItemString(out, "losses", (PyObject *)c->losses) < 0 ||
         PyDict_SetItemString(out, "logits", (PyObject *)c->logits) < 0))
        Py_CLEAR(out);
    return out;
fail:
    Py_DECREF(runs);
    return NULL;
}

static void release(call *c) {
    for (Py_ssize_t i = 0; i < c->n_runs; i++) {
        if (c->run_edges) Py_XDECREF(c->run_edges[i]);
        if (c->run_values) Py_XDECREF(c->run_values[i]);
        if (c->run_counts) Py_XDECREF(c->run_counts[i]);
        if (c->run_signs) Py_XDECREF(c->run_signs[i]);
    }
    PyMem_Free(c->run_edges);
    PyMem_Free(c->run_values);
    PyMem_Free(c->run_counts);
    PyMem_Free(c->run_signs);
    PyMem_Free(c->sources);
    PyMem_Free(c->runs);
    PyMem_Free(c->given);
    PyMem_Free(c->sink_tensors);
    Py_XDECREF(c->run_list);
    Py_XDECREF(c->source_list);
    Py_XDECREF(c->weights);
    Py_XDECREF(c->gradients);
    Py_XDECREF(c->losses);
    Py_XDECREF(c->logits);
    if (c->workspace) {
        c->workspace->busy = false;
        Py_DECREF(c->workspace);
    }
}

PyObject *zs_py_run(PyObject *module, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {
        "graph",   "x",    "y",         "runs", "sink",      "weights",   "init",   "seed",    "dtype",   "n_threads",
        "kernels", "algo", "max_bytes", "dead", "recompute", "workspace", "cancel", "measure", "sources", NULL};
    PyObject *graph, *x, *y, *sources, *runs, *sink, *weights, *workspace, *cancel, *out = NULL;
    const char *init, *dtype, *table, *algo;
    unsigned long long seed;
    int n_threads, dead, recompute, measure;
    Py_ssize_t max_bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO$OOOsKsissnpiOOpO:run", (char **)names, &graph, &x, &y, &runs,
                                     &sink, &weights, &init, &seed, &dtype, &n_threads, &table, &algo, &max_bytes,
                                     &dead, &recompute, &workspace, &cancel, &measure, &sources))
        return NULL;
    ZS_ASSERT(recompute <= ZS_RECOMPUTE_ALL);
    call c = {.job = {.seed = seed,
                      .dead = dead,
                      .recompute = recompute,
                      .max_bytes = max_bytes > 0 ? (size_t)max_bytes : 0,
                      .blame = {.node = -1}}};
    c.job.graph = zs_py_graph_get(module, graph);
    if (!c.job.graph) return NULL;
    if (get_algo(algo, &c.job.algo) < 0) return NULL;
    c.job.init = zs_init_by_name(init);
    if (c.job.init < 0) {
        PyObject *known = zs_py_list_inits(module, NULL);
        if (known) PyErr_Format(PyExc_ValueError, "init: expected one of %R, got '%.60s'", known, init);
        Py_XDECREF(known);
        return NULL;
    }
    if (get_exec(&c, module, dtype, n_threads, table, workspace, cancel) < 0 || get_sources(&c, x, y, sources) < 0 ||
        get_runs(&c, runs) < 0 || get_weights(&c, weights) < 0 || get_sink(&c, sink) < 0)
        goto done;

    zs_error err;
    zs_error_clear(&err);
    clock_gettime(CLOCK_MONOTONIC, &c.last_poll);
    c.saved = PyEval_SaveThread();
    if (measure)
        zs_job_measure(&c.job, &err);
    else
        zs_job_run(&c.job, &err);
    PyEval_RestoreThread(c.saved);
    out = err.status == ZS_OK ? result(&c, measure) : zs_py_raise(module, &err);
done:
    release(&c);
    return out;
}
