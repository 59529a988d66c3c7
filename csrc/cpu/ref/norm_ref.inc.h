/* Batch norm and ReLU. */

static void ZS_REF(bn_stats)(zs_shape s, int n0, int n1, const zs_view *x, double *mean, double *m2) {
    const double count = (double)(n1 - n0) * s.H * s.W;
    for (int c = 0; c < s.C; c++) {
        double sum = 0, squares = 0;
        for (int n = n0; n < n1; n++)
            for (int h = 0; h < s.H; h++)
                for (int w = 0; w < s.W; w++) sum += (double)at(x, n, h, w)[c];
        mean[c] = sum / count;
        for (int n = n0; n < n1; n++)
            for (int h = 0; h < s.H; h++)
                for (int w = 0; w < s.W; w++) {
                    const double centred = (double)at(x, n, h, w)[c] - mean[c];
                    squares += centred * centred;
                }
        m2[c] = squares;
    }
}

static void ZS_REF(bn_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const void *coef, const zs_view *y) {
    const real *mean = coef, *scale = mean + s.C, *beta = scale + s.C;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++)
                    at_mut(y, n, h, w)[c] = (at(x, n, h, w)[c] - mean[c]) * scale[c] + beta[c];
}

static void ZS_REF(bn_bwd_sums)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef,
                                double *s1, double *s2) {
    const real *mean = coef;
    for (int c = 0; c < s.C; c++) {
        s1[c] = s2[c] = 0;
        for (int n = n0; n < n1; n++)
            for (int h = 0; h < s.H; h++)
                for (int w = 0; w < s.W; w++) {
                    const double g = (double)at(dy, n, h, w)[c];
                    s1[c] += g;
                    s2[c] += g * ((double)at(x, n, h, w)[c] - (double)mean[c]);
                }
    }
}

static void ZS_REF(bn_bwd_x)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef,
                             const zs_view *dx, bool add) {
    const real *mean = coef, *a = mean + s.C, *b = a + s.C, *k = b + s.C;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const double centred = (double)at(x, n, h, w)[c] - (double)mean[c];
                    put(&at_mut(dx, n, h, w)[c],
                        (double)a[c] * (double)at(dy, n, h, w)[c] - (double)b[c] - (double)k[c] * centred, add);
                }
}

static void ZS_REF(cast)(size_t n, const double *from, void *to) {
    for (size_t i = 0; i < n; i++) ((real *)to)[i] = (real)from[i];
}

static void ZS_REF(relu_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) at_mut(y, n, h, w)[c] = relu(at(x, n, h, w)[c]);
}

static void ZS_REF(relu_bwd)(zs_shape s, int n0, int n1, const zs_view *y, const zs_view *dy, const zs_view *dx,
                             bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++)
                    put(&at_mut(dx, n, h, w)[c], relu_passes(at(y, n, h, w)[c]) ? (double)at(dy, n, h, w)[c] : 0.0,
                        add);
}
