/* Products of matrices and softmax over the positions of a map, and what moves or scales them. */

/* Element (row, column) of a matrix: channel `column` of position `row`. */
static const real *cell_at(const zs_view *v, int n, int width, int row, int column) {
    return at(v, n, row / width, row % width) + column;
}

static size_t ZS_REF(matmul_scratch_bytes)(const zs_matmul *d) {
    (void)d;
    return 0;
}

static void ZS_REF(matmul)(const zs_matmul *d, int n0, int n1, const zs_view *a, const zs_view *b, const zs_view *y,
                           bool add, void *scratch) {
    (void)scratch;
    for (int i = n0; i < n1; i++)
        for (int head = 0; head < d->heads; head++)
            for (int m = 0; m < d->M; m++)
                for (int n = 0; n < d->N; n++) {
                    double sum = 0;
                    for (int k = 0; k < d->K; k++) {
                        const real *x = d->a_turned ? cell_at(a, i, d->width_a, k, head * d->M + m)
                                                    : cell_at(a, i, d->width_a, m, head * d->K + k);
                        const real *w = d->b_turned ? cell_at(b, i, d->width_b, n, head * d->K + k)
                                                    : cell_at(b, i, d->width_b, k, head * d->N + n);
                        sum += (double)*x * (double)*w;
                    }
                    put(&at_mut(y, i, m / d->width_y, m % d->width_y)[head * d->N + n], d->scale * sum, add);
                }
}

static void ZS_REF(flatten_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) at_mut(y, n, 0, 0)[(c * s.H + h) * s.W + w] = at(x, n, h, w)[c];
}

static void ZS_REF(flatten_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++)
                    put(&at_mut(dx, n, h, w)[c], (double)at(dy, n, 0, 0)[(c * s.H + h) * s.W + w], add);
}

static void ZS_REF(spatial_bias_fwd)(zs_shape s, int n0, int n1, const void *bias, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) at_mut(y, n, h, w)[c] = ((const real *)bias)[h * s.W + w];
}

static void ZS_REF(spatial_bias_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, void *db) {
    for (int h = 0; h < s.H; h++)
        for (int w = 0; w < s.W; w++) {
            double sum = 0;
            for (int n = n0; n < n1; n++)
                for (int c = 0; c < s.C; c++) sum += (double)at(dy, n, h, w)[c];
            ((real *)db)[h * s.W + w] = (real)sum;
        }
}

static void ZS_REF(scale_channels)(zs_shape s, int n0, int n1, const zs_view *x, const void *scale, const zs_view *y,
                                   bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++)
                    put(&at_mut(y, n, h, w)[c], (double)((const real *)scale)[c] * (double)at(x, n, h, w)[c], add);
}

static void softmax_run(int n, const real *x, real *y) {
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        if ((double)x[i] > top) top = (double)x[i];
    for (int i = 0; i < n; i++) sum += exp((double)x[i] - top);
    for (int i = 0; i < n; i++) y[i] = (real)(exp((double)x[i] - top) / sum);
}

static double product_sum(int n, const real *a, const real *b) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void ZS_REF(softmax_fwd)(zs_shape s, int groups, int n0, int n1, const zs_view *x, const zs_view *y) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run) softmax_run(run, at(x, n, h, w) + c, at_mut(y, n, h, w) + c);
}

static void ZS_REF(softmax_bwd)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *dy,
                                const zs_view *dx, bool add) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run) {
                    const real *p = at(y, n, h, w) + c, *g = at(dy, n, h, w) + c;
                    const double mean = product_sum(run, p, g);
                    for (int i = 0; i < run; i++)
                        put(&at_mut(dx, n, h, w)[c + i], (double)p[i] * ((double)g[i] - mean), add);
                }
}

static void ZS_REF(softmax_curve)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *t,
                                  const zs_view *dy, const zs_view *dx, bool add) {
    const int run = s.C / groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c += run) {
                    const real *p = at(y, n, h, w) + c, *v = at(t, n, h, w) + c, *g = at(dy, n, h, w) + c;
                    const double mean_t = product_sum(run, p, v), mean_g = product_sum(run, p, g);
                    for (int i = 0; i < run; i++)
                        put(&at_mut(dx, n, h, w)[c + i], (double)g[i] * ((double)v[i] - mean_t) - (double)v[i] * mean_g,
                            add);
                }
}
