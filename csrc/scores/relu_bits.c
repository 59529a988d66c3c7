#include "scores/relu_bits.h"

#include <string.h>

static size_t words_of(size_t n_bits) { return (n_bits + 63) / 64; }

size_t zs_relu_words(zs_shape s) { return (size_t)s.H * (size_t)s.W * words_of((size_t)s.C); }

zs_relu_rows zs_relu_bits(const zs_kernels *k, const zs_look *look, int first, int n, uint64_t *words) {
    const zs_shape s = look->shape;
    const zs_view *v = &look->value;
    const size_t pixels = (size_t)s.H * (size_t)s.W, C = (size_t)s.C, stride = zs_relu_words(s);
    const size_t real = zs_dtype_size(k->dtype);
    const bool dense = !v->p || (v->sw == s.C && (s.H == 1 || v->sh == (ptrdiff_t)s.W * s.C));
    const zs_relu_rows rows =
        dense ? (zs_relu_rows){1, pixels * C, words_of(pixels * C)} : (zs_relu_rows){pixels, C, words_of(C)};
    for (int i = 0; i < n; i++) {
        uint64_t *out = words + (size_t)i * stride;
        memset(out, 0, stride * sizeof *out);
        for (size_t r = 0; v->p && r < rows.n_runs; r++) {
            const ptrdiff_t h = (ptrdiff_t)r / s.W, w = (ptrdiff_t)r % s.W;
            const ptrdiff_t at = (first + i) * v->sn + (dense ? 0 : h * v->sh + w * v->sw);
            k->positive_bits(rows.run_length, (const char *)v->p + at * (ptrdiff_t)real, out + r * rows.run_words);
        }
    }
    return rows;
}
