/* What the functions of zeroshot._testing have in common: their arguments, checked, and the table they call.

   Kernels write into the arrays they are given and return None. The dtype is that of the arrays. An *image* is an array
   (N, H, W, C), or (N, C) for one pixel, of any strides as long as channels are neighbours; everything else is dense.
   Shapes are checked, so that a wrong test raises and never overruns. What returns a bool is false with an
   exception. */
#ifndef ZS_PY_TESTING_ARGUMENTS_H
#define ZS_PY_TESTING_ARGUMENTS_H

#include "py/numpy_api.h"

#include "cpu/dispatch.h"

#define ZS_NAMES(...) ((char *[]){__VA_ARGS__, NULL})
#define ZS_BLOCK "n0", "n1" /* keywords of nearly every kernel: the samples of its block */

/* Lines of method tables. */
#define ZS_KEYWORDS(function) ((PyCFunction)(void (*)(void))function)
#define ZS_KERNEL(name) {#name, ZS_KEYWORDS(name), METH_VARARGS | METH_KEYWORDS, NULL}

typedef struct zs_array { /* borrowed from the arguments of the call */
    zs_view v; /* of images */
    int N, H, W, C; /* of images; of others the axes in order, 1 where there is none */
    int ndim;
    size_t n; /* elements */
    int type; /* NumPy's number; -1: None was given */
} zs_array;

/* Converters for PyArg_Parse's O&. */
int zs_image(PyObject *obj, void *out);
int zs_image_out(PyObject *obj, void *out);
int zs_image_out_or_none(PyObject *obj, void *out);
int zs_dense(PyObject *obj, void *out);
int zs_dense_out(PyObject *obj, void *out);
int zs_dense_or_none(PyObject *obj, void *out);
int zs_dense_out_or_none(PyObject *obj, void *out);

/* ValueError unless ok; an exception that is already there stays. */
bool zs_expect(bool ok, const char *what);

bool zs_is_real(int type);
bool zs_is(const zs_array *a, int type, size_t n); /* dtype and number of elements */
bool zs_is_or_none(const zs_array *a, int type, size_t n);
bool zs_alike(const zs_array *a, const zs_array *b); /* dtype and shape */
zs_shape zs_shape_of(const zs_array *a);

/* What kernel calls have in common. */
typedef struct zs_kernel_call {
    zs_kernels k;
    const char *table;
    int n0, n1; /* n1 < 0: up to the last sample */
    int add;
} zs_kernel_call;

#define ZS_KERNEL_CALL ((zs_kernel_call){.n1 = -1})

bool zs_find_table(zs_kernel_call *c, int type); /* c->k from c->table */
bool zs_ready(zs_kernel_call *c, const zs_array *samples); /* the same, and the block [n0, n1) */
bool zs_window_fits(zs_window *win, const zs_array *in, const zs_array *out);

/* Exactly n_bytes, full of NaN; freed by zs_free_aligned. */
bool zs_take_filled(size_t n_bytes, void **out);

/* Appends value, which is stolen. */
bool zs_append(PyObject *list, PyObject *value);

#endif
