/* Convolution, R x S x I x O weights, I = C / groups. */

static size_t ZS_REF(conv2d_packed_bytes)(const zs_conv2d *d, bool back) {
    (void)back;
    return (size_t)d->win.R * (size_t)d->win.S * (size_t)(d->C / d->groups) * (size_t)d->K * sizeof(real);
}

static void ZS_REF(conv2d_pack)(const zs_conv2d *d, const void *w, bool back, void *packed) {
    memcpy(packed, w, ZS_REF(conv2d_packed_bytes)(d, back));
}

static size_t ZS_REF(conv2d_scratch_bytes)(const zs_conv2d *d) {
    /* backward_w adds up in double */
    return ((size_t)d->win.R * (size_t)d->win.S * (size_t)(d->C / d->groups) * (size_t)d->K + (size_t)d->K) *
           sizeof(double);
}

static zs_algo ZS_REF(conv2d_algo)(const zs_conv2d *d) {
    (void)d;
    return ZS_ALGO_DIRECT;
}

static void ZS_REF(conv2d_fwd)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const void *packed,
                               const void *bias, const zs_view *y, void *scratch) {
    (void)scratch;
    const real *w = packed, *b = bias;
    const int I = d->C / d->groups, O = d->K / d->groups;
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++)
                for (int k = 0; k < d->K; k++) {
                    const int c0 = k / O * I;
                    double sum = b ? (double)b[k] : 0.0;
                    for (int r = 0; r < d->win.R; r++)
                        for (int s = 0; s < d->win.S; s++) {
                            const int h = p * d->win.stride_h + r * d->win.dil_h - d->win.pad_h;
                            const int v = q * d->win.stride_w + s * d->win.dil_w - d->win.pad_w;
                            if (h < 0 || h >= d->H || v < 0 || v >= d->W) continue;
                            const real *xp = at(x, n, h, v) + c0;
                            const real *wp = w + (size_t)(r * d->win.S + s) * (size_t)(I * d->K);
                            for (int c = 0; c < I; c++)
                                sum += (double)(d->relu ? relu(xp[c]) : xp[c]) *
                                       (double)wp[(size_t)c * (size_t)d->K + (size_t)k];
                        }
                    at_mut(y, n, p, q)[k] = (real)sum;
                }
}

static void ZS_REF(conv2d_bwd_x)(const zs_conv2d *d, int n0, int n1, const zs_view *dy, const void *packed,
                                 const zs_view *x, const zs_view *dx, bool add, void *scratch) {
    (void)scratch;
    const real *w = packed;
    const int I = d->C / d->groups, O = d->K / d->groups;
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < d->H; h++)
            for (int v = 0; v < d->W; v++)
                for (int c = 0; c < d->C; c++) {
                    const int k0 = c / I * O;
                    double sum = 0;
                    for (int r = 0; r < d->win.R; r++)
                        for (int s = 0; s < d->win.S; s++) {
                            const int ph = h + d->win.pad_h - r * d->win.dil_h;
                            const int qw = v + d->win.pad_w - s * d->win.dil_w;
                            if (ph < 0 || qw < 0 || ph % d->win.stride_h || qw % d->win.stride_w) continue;
                            const int p = ph / d->win.stride_h, q = qw / d->win.stride_w;
                            if (p >= d->P || q >= d->Q) continue;
                            const real *g = at(dy, n, p, q);
                            const real *wp =
                                w + ((size_t)(r * d->win.S + s) * (size_t)I + (size_t)(c % I)) * (size_t)d->K;
                            for (int k = k0; k < k0 + O; k++) sum += (double)g[k] * (double)wp[k];
                        }
                    if (d->relu && !relu_passes(at(x, n, h, v)[c])) sum = 0;
                    put(&at_mut(dx, n, h, v)[c], sum, add);
                }
}

static void ZS_REF(conv2d_bwd_w)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy, void *dw,
                                 void *db, void *scratch) {
    const int I = d->C / d->groups, O = d->K / d->groups;
    const size_t n_weights = (size_t)d->win.R * (size_t)d->win.S * (size_t)I * (size_t)d->K;
    double *sum = scratch, *bias = sum + n_weights;
    memset(sum, 0, (n_weights + (size_t)d->K) * sizeof *sum);
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++)
            for (int q = 0; q < d->Q; q++) {
                const real *g = at(dy, n, p, q);
                for (int k = 0; k < d->K; k++) bias[k] += (double)g[k];
                for (int r = 0; r < d->win.R; r++)
                    for (int s = 0; s < d->win.S; s++) {
                        const int h = p * d->win.stride_h + r * d->win.dil_h - d->win.pad_h;
                        const int v = q * d->win.stride_w + s * d->win.dil_w - d->win.pad_w;
                        if (h < 0 || h >= d->H || v < 0 || v >= d->W) continue;
                        const real *xp = at(x, n, h, v);
                        double *wp = sum + (size_t)(r * d->win.S + s) * (size_t)(I * d->K);
                        for (int c = 0; c < I; c++)
                            for (int k = 0; k < d->K; k++) {
                                const real xc = xp[k / O * I + c];
                                wp[(size_t)c * (size_t)d->K + (size_t)k] +=
                                    (double)(d->relu ? relu(xc) : xc) * (double)g[k];
                            }
                    }
            }
    for (size_t i = 0; i < n_weights; i++) ((real *)dw)[i] = (real)sum[i];
    if (db)
        for (int k = 0; k < d->K; k++) ((real *)db)[k] = (real)bias[k];
}
