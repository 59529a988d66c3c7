/* zeroshot._testing: the processor's multiply-add peak, which rates are compared with. */
#include "py/testing/arguments.h"

#include <string.h>
#include <time.h>

/* n times `width` independent multiply-adds on vectors of `bytes`: more than latency x units, fewer than registers. */
#define FMA_LOOP(name, isa, bytes, width)                                                                           \
    isa __attribute__((noinline)) static float name(long n, float factor, float term) {                             \
        typedef float vec __attribute__((vector_size(bytes)));                                                      \
        vec sums[width];                                                                                            \
        for (int j = 0; j < width; j++) sums[j] = (vec){0} + (float)j;                                              \
        const vec m = (vec){0} + factor, c = (vec){0} + term;                                                       \
        for (long i = 0; i < n; i++)                                                                                \
            for (int j = 0; j < width; j++) sums[j] = sums[j] * m + c;                                              \
        for (int j = 1; j < width; j++) sums[0] += sums[j];                                                         \
        return sums[0][0];                                                                                          \
    }

FMA_LOOP(fma_baseline, , 16, 12)
#ifdef __x86_64__
FMA_LOOP(fma_avx2, __attribute__((target("avx2,fma"))), 32, 12)
FMA_LOOP(fma_avx512, __attribute__((target("avx512f,fma"))), 64, 16)
#endif

typedef struct fma_loop {
    const char *table;
    float (*run)(long n, float factor, float term);
    int lanes, width;
} fma_loop;

static const fma_loop FMA_LOOPS[] = {
    {"baseline", fma_baseline, 4, 12},
#ifdef __x86_64__
    {"avx2", fma_avx2, 8, 12},
    {"avx512", fma_avx512, 16, 16},
#endif
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static PyObject *fma_peak(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    zs_kernel_call c = {.table = "auto"};
    double seconds = 0.2, best = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|sd:fma_peak", ZS_NAMES("table", "seconds"), &c.table, &seconds) ||
        !zs_find_table(&c, NPY_FLOAT))
        return NULL;
    const fma_loop *loop = &FMA_LOOPS[0]; /* the reference and neon, too */
    for (size_t i = 0; i < sizeof FMA_LOOPS / sizeof *FMA_LOOPS; i++)
        if (strcmp(FMA_LOOPS[i].table, c.k.name) == 0) loop = &FMA_LOOPS[i];
    const long n = 100000; /* about 0.3 ms */
    volatile float factor = 0.999f, term = 0.001f, sink;
    const double ops = 2.0 * (double)n * loop->lanes * loop->width;
    Py_BEGIN_ALLOW_THREADS
    for (const double end = now() + seconds; now() < end;) {
        const double start = now();
        sink = loop->run(n, factor, term);
        const double rate = ops / (now() - start);
        if (rate > best) best = rate;
    }
    (void)sink;
    Py_END_ALLOW_THREADS
    return PyFloat_FromDouble(best * 1e-9);
}

PyMethodDef zs_testing_peak[] = {
    {"fma_peak", ZS_KEYWORDS(fma_peak), METH_VARARGS | METH_KEYWORDS,
     "fma_peak(table='auto', seconds=0.2) -> 10^9 float operations a second of one thread"},
    {NULL, NULL, 0, NULL},
};
