/* zeroshot._testing: losses and their gradients. */
#include "py/testing/arguments.h"

typedef void loss_kernel(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight,
                         double *loss, const zs_view *dlogits);

static loss_kernel *cross_entropy_of(const zs_kernels *k) { return k->cross_entropy; }
static loss_kernel *sum_logits_of(const zs_kernels *k) { return k->sum_logits; }
static loss_kernel *cross_entropy_tangent_of(const zs_kernels *k) { return k->cross_entropy_tangent; }

/* A row of logits holds `rows` times K numbers. */
static PyObject *loss_of(PyObject *args, PyObject *kwargs, loss_kernel *(*kernel_of)(const zs_kernels *k), int rows) {
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array logits, labels, loss, d_logits;
    double weight;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&dO&O&|$ii",
                                     ZS_NAMES("table", "logits", "labels", "weight", "loss", "dlogits", ZS_BLOCK),
                                     &c.table, zs_image, &logits, zs_dense, &labels, &weight, zs_dense_out, &loss,
                                     zs_image_out_or_none, &d_logits, &c.n0, &c.n1) ||
        !zs_ready(&c, &logits) ||
        !zs_expect(logits.H == 1 && logits.W == 1 && logits.C > 0 && logits.C % rows == 0, "logits (N, K)") ||
        !zs_expect(d_logits.type < 0 || zs_alike(&logits, &d_logits), "dlogits like logits") ||
        !zs_expect(zs_is(&labels, NPY_INT64, (size_t)logits.N) && zs_is(&loss, NPY_DOUBLE, (size_t)logits.N),
                   "int64 labels and float64 losses of N"))
        return NULL;
    for (size_t i = 0; i < labels.n; i++) {
        const int64_t label = ((const int64_t *)labels.v.p)[i];
        if (!zs_expect(0 <= label && label < logits.C / rows, "labels in [0, K)")) return NULL;
    }
    kernel_of (&c.k)(logits.C / rows, c.n0, c.n1, &logits.v, labels.v.p, weight, loss.v.p, &d_logits.v);
    Py_RETURN_NONE;
}

static PyObject *cross_entropy(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, cross_entropy_of, 1);
}

static PyObject *sum_logits(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, sum_logits_of, 1);
}

static PyObject *cross_entropy_tangent(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, cross_entropy_tangent_of, 2);
}

PyMethodDef zs_testing_loss[] = {
    ZS_KERNEL(cross_entropy),
    ZS_KERNEL(sum_logits),
    ZS_KERNEL(cross_entropy_tangent),
    {NULL, NULL, 0, NULL},
};
