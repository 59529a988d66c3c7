/* Pooling and pointwise sums. */

static void clear(int C, int H, int W, int n0, int n1, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) memset(at_mut(y, n, h, w), 0, (size_t)C * sizeof(real));
}

/* Place of the maximum of one window: the first one, or the last NaN. */
static const real *max_place(const zs_pool *d, const zs_view *x, int n, int p, int q, int c, int *h_max, int *w_max) {
    const real *best = NULL;
    for (int r = 0; r < d->win.R; r++)
        for (int s = 0; s < d->win.S; s++) {
            const int h = p * d->win.stride_h + r * d->win.dil_h - d->win.pad_h;
            const int w = q * d->win.stride_w + s * d->win.dil_w - d->win.pad_w;
            if (h < 0 || h >= d->H || w < 0 || w >= d->W) continue;
            const real *v = at(x, n, h, w) + c;
            if (!best || *v > *best || isnan(*v)) {
                best = v;
                *h_max = h;
                *w_max = w;
            }
        }
    return best;
}

static void ZS_REF(max_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y) {
    int h, w;
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++)
                for (int c = 0; c < d->C; c++) {
                    const real *best = max_place(d, x, n, p, q, c, &h, &w);
                    at_mut(y, n, p, q)[c] = best ? *best : (real)-INFINITY;
                }
}

static void ZS_REF(max_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                                 const zs_view *dx, bool add) {
    if (!add) clear(d->C, d->H, d->W, n0, n1, dx);
    int h, w;
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++)
                for (int c = 0; c < d->C; c++)
                    if (max_place(d, x, n, p, q, c, &h, &w)) at_mut(dx, n, h, w)[c] += at(dy, n, p, q)[c];
}

static void ZS_REF(max_pool_gate)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *t,
                                  const zs_view *y) {
    int h, w;
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++)
                for (int c = 0; c < d->C; c++)
                    at_mut(y, n, p, q)[c] = max_place(d, x, n, p, q, c, &h, &w) ? at(t, n, h, w)[c] : 0;
}

/* Rows or columns [lo, hi) of a window that lie in the image. */
static void range(int out, int stride, int pad, int kernel, int size, int *lo, int *hi) {
    *lo = out * stride - pad;
    *hi = *lo + kernel;
    if (*lo < 0) *lo = 0;
    if (*hi > size) *hi = size;
}

static double share(const zs_pool *d, int n_cells) {
    const int all = d->win.R * d->win.S;
    return n_cells > 0 ? 1.0 / (double)(d->count_include_pad ? all : n_cells) : 0.0;
}

static void ZS_REF(avg_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++) {
                int h0, h1, w0, w1;
                range(p, d->win.stride_h, d->win.pad_h, d->win.R, d->H, &h0, &h1);
                range(q, d->win.stride_w, d->win.pad_w, d->win.S, d->W, &w0, &w1);
                const double weight = share(d, (h1 - h0) * (w1 - w0));
                for (int c = 0; c < d->C; c++) {
                    double sum = 0;
                    for (int h = h0; h < h1; h++)
                        for (int w = w0; w < w1; w++) sum += (double)at(x, n, h, w)[c];
                    at_mut(y, n, p, q)[c] = (real)(sum * weight);
                }
            }
}

static void ZS_REF(avg_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    if (!add) clear(d->C, d->H, d->W, n0, n1, dx);
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++) {
                int h0, h1, w0, w1;
                range(p, d->win.stride_h, d->win.pad_h, d->win.R, d->H, &h0, &h1);
                range(q, d->win.stride_w, d->win.pad_w, d->win.S, d->W, &w0, &w1);
                const double weight = share(d, (h1 - h0) * (w1 - w0));
                for (int h = h0; h < h1; h++)
                    for (int w = w0; w < w1; w++)
                        for (int c = 0; c < d->C; c++)
                            at_mut(dx, n, h, w)[c] += (real)(weight * (double)at(dy, n, p, q)[c]);
            }
}

static void ZS_REF(gap_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int c = 0; c < s.C; c++) {
            double sum = 0;
            for (int h = 0; h < s.H; h++)
                for (int w = 0; w < s.W; w++) sum += (double)at(x, n, h, w)[c];
            at_mut(y, n, 0, 0)[c] = (real)(sum / ((double)s.H * s.W));
        }
}

static void ZS_REF(gap_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add) {
    const double weight = 1.0 / ((double)s.H * s.W);
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) put(&at_mut(dx, n, h, w)[c], weight * (double)at(dy, n, 0, 0)[c], add);
}

static void ZS_REF(sum_fwd)(zs_shape s, int n0, int n1, int group, int n_terms, const zs_term *terms,
                            const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    double sum = 0;
                    for (int t = 0; t < n_terms; t++) {
                        double v = (double)at(&terms[t].x, n, h, w)[c];
                        if (terms[t].bn) {
                            const real *mean = (const real *)terms[t].bn + (size_t)(n / group) * 3 * (size_t)s.C;
                            v = (v - (double)mean[c]) * (double)mean[s.C + c] + (double)mean[2 * s.C + c];
                        }
                        sum += terms[t].coef * v;
                    }
                    at_mut(y, n, h, w)[c] = (real)sum;
                }
}

static void ZS_REF(scale)(zs_shape s, int n0, int n1, const zs_view *x, double coef, const zs_view *y, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) put(&at_mut(y, n, h, w)[c], coef * (double)at(x, n, h, w)[c], add);
}

static void ZS_REF(fill_zero)(zs_shape s, int n0, int n1, const zs_view *y) { clear(s.C, s.H, s.W, n0, n1, y); }
