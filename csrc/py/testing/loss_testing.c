/* zeroshot._testing: losses and their gradients. */
#include "py/testing/arguments.h"

static PyObject *loss_of(PyObject *args, PyObject *kwargs, bool is_cross_entropy) {
    zs_kernel_call c = ZS_KERNEL_CALL;
    zs_array logits, labels, loss, d_logits;
    double weight;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&O&dO&O&|$ii",
                                     ZS_NAMES("table", "logits", "labels", "weight", "loss", "dlogits", ZS_BLOCK),
                                     &c.table, zs_image, &logits, zs_dense, &labels, &weight, zs_dense_out, &loss,
                                     zs_image_out_or_none, &d_logits, &c.n0, &c.n1) ||
        !zs_ready(&c, &logits) || !zs_expect(logits.H == 1 && logits.W == 1 && logits.C > 0, "logits (N, K)") ||
        !zs_expect(d_logits.type < 0 || zs_alike(&logits, &d_logits), "dlogits like logits") ||
        !zs_expect(zs_is(&labels, NPY_INT64, (size_t)logits.N) && zs_is(&loss, NPY_DOUBLE, (size_t)logits.N),
                   "int64 labels and float64 losses of N"))
        return NULL;
    for (size_t i = 0; i < labels.n; i++) {
        const int64_t label = ((const int64_t *)labels.v.p)[i];
        if (!zs_expect(0 <= label && label < logits.C, "labels in [0, K)")) return NULL;
    }
    (is_cross_entropy ? c.k.cross_entropy : c.k.sum_logits)(logits.C, c.n0, c.n1, &logits.v, labels.v.p, weight,
                                                            loss.v.p, &d_logits.v);
    Py_RETURN_NONE;
}

static PyObject *cross_entropy(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, true);
}

static PyObject *sum_logits(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    return loss_of(args, kwargs, false);
}

PyMethodDef zs_testing_loss[] = {
    ZS_KERNEL(cross_entropy),
    ZS_KERNEL(sum_logits),
    {NULL, NULL, 0, NULL},
};
