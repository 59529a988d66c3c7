/* Joins of partial gradients, statistics over gradients and activations, and the way in and out of the arena. */

static void ZS_REF(join)(size_t n, int n_parts, size_t stride, const void *parts, void *out) {
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < n_parts; j++) sum += (double)((const real *)parts)[(size_t)j * stride + i];
        ((real *)out)[i] = (real)sum;
    }
}

/* Welford (1962): mean_t = mean + (v - mean)/t, m2_t = m2 + (v - mean)(v - mean_t) */
static void ZS_REF(moments)(size_t n, const void *g, int64_t count, double *mean, double *m2, double *sum) {
    const double t = (double)(count + 1);
    for (size_t i = 0; i < n; i++) {
        double v = (double)((const real *)g)[i];
        if (sum) v = sum[i] += v;
        const double delta = v - mean[i];
        mean[i] += delta / t;
        m2[i] += delta * (v - mean[i]);
    }
}

static void ZS_REF(signs)(size_t n, const void *g, double tol, int32_t *sum) {
    for (size_t i = 0; i < n; i++) {
        const double v = (double)((const real *)g)[i];
        sum[i] += (v > tol) - (v < -tol);
    }
}

static void ZS_REF(positive_bits)(size_t n, const void *g, uint64_t *bits) {
    for (size_t i = 0; i < n; i++) {
        if (i % 64 == 0) bits[i / 64] = 0;
        bits[i / 64] |= (uint64_t)(((const real *)g)[i] > 0) << i % 64;
    }
}

static void ZS_REF(product_sums)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *d, double *sums) {
    for (int n = n0; n < n1; n++, sums += s.C)
        for (int c = 0; c < s.C; c++) {
            sums[c] = 0;
            for (int h = 0; h < s.H; h++)
                for (int w = 0; w < s.W; w++) sums[c] += (double)at(a, n, h, w)[c] * (double)at(d, n, h, w)[c];
        }
}

static void ZS_REF(histogram)(size_t n, const void *g, int n_edges, const double *edges, int64_t *counts) {
    for (size_t i = 0; i < n; i++) {
        const real v = (real)fabs((double)((const real *)g)[i]);
        int lo = 0, hi = n_edges; /* number of edges <= v lies in [lo, hi] */
        while (lo < hi) {
            const int mid = (lo + hi) / 2;
            if ((real)edges[mid] <= v)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo >= 1 && lo < n_edges && v < (real)edges[lo]) counts[lo - 1]++;
    }
}

static void ZS_REF(exponents)(size_t n, const void *g, int64_t *counts) {
    for (size_t i = 0; i < n; i++) {
        const double v = (double)((const real *)g)[i];
        if (v == 0)
            counts[0]++;
        else if (isfinite(v))
            counts[ilogb(v) + 1100]++;
    }
}

static int64_t ZS_REF(hamming)(size_t n_words, const uint64_t *a, const uint64_t *b) {
    int64_t count = 0;
    for (size_t i = 0; i < n_words; i++)
        for (uint64_t x = a[i] ^ b[i]; x; x &= x - 1) count++;
    return count;
}

static double ZS_REF(dot)(size_t n, const void *x, const void *y) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)((const real *)x)[i] * (double)((const real *)y)[i];
    return sum;
}

static size_t ZS_REF(count_nonfinite)(size_t n, const void *g) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += (size_t)!isfinite(((const real *)g)[i]);
    return count;
}

static size_t ZS_REF(count_nonzero)(size_t n, const void *g) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((const real *)g)[i] != 0;
    return count;
}

static void ZS_REF(load_images)(zs_shape s, int n_samples, zs_dtype dtype, const void *x, const zs_view *y) {
    const size_t plane = (size_t)s.H * (size_t)s.W;
    for (int n = 0; n < n_samples; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const size_t i =
                        ((size_t)n * (size_t)s.C + (size_t)c) * plane + (size_t)h * (size_t)s.W + (size_t)w;
                    at_mut(y, n, h, w)[c] =
                        dtype == ZS_F64 ? (real)((const double *)x)[i] : (real)((const float *)x)[i];
                }
}

static void ZS_REF(load_weight)(const zs_tensor *t, zs_dtype dtype, const void *w, void *out) {
    const size_t O = (size_t)t->O, I = (size_t)t->I, RS = (size_t)t->R * (size_t)t->S;
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t r = 0; r < RS; r++) {
                const size_t from = (o * I + i) * RS + r, to = (r * I + i) * O + o;
                ((real *)out)[to] = dtype == ZS_F64 ? (real)((const double *)w)[from] : (real)((const float *)w)[from];
            }
}

static void ZS_REF(store_weight)(const zs_tensor *t, const void *w, double *out) {
    const size_t O = (size_t)t->O, I = (size_t)t->I, RS = (size_t)t->R * (size_t)t->S;
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t r = 0; r < RS; r++) out[(o * I + i) * RS + r] = (double)((const real *)w)[(r * I + i) * O + o];
}

static void ZS_REF(store_vector)(size_t n, const void *w, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = (double)((const real *)w)[i];
}
