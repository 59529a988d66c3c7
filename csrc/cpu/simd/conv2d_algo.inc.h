/* The convolution slots: direct sums, or Winograd where it applies and is asked for.

   Winograd is left out in double, which stays exact, and, unless asked for by name, where channels do not fill vectors
   or an image has few tiles. Images of two or three rows take F(2x2) once there are many channels: all weights are read
   for a batch of tiles, not for each row of two pixels. F(2x2) serves all three passes: its weight gradient is faster
   than direct sums also for one sample (AVX-512, GF/s: 16 channels at 32x32 160 to 112, 32 at 16x16 184 to 114, 64 at
   8x8 164 to 107). */

static zs_algo ZS_ISA(conv2d_algo)(const zs_conv2d *d) {
    const zs_window *w = &d->win;
    const bool applies = w->R == 3 && w->S == 3 && w->stride_h == 1 && w->stride_w == 1 && w->pad_h == 1 &&
                         w->pad_w == 1 && w->dil_h == 1 && w->dil_w == 1 && d->groups == 1;
    if (ZS_DTYPE == ZS_F64 || !applies || d->algo == ZS_ALGO_DIRECT) return ZS_ALGO_DIRECT;
    const bool open = d->algo == ZS_ALGO_AUTO || d->algo == ZS_ALGO_SIGNS;
    if (open && (d->C < 16 || d->K < 16 || d->H < 2 || d->W < 2)) return ZS_ALGO_DIRECT;
    if (open && (d->H < 4 || d->W < 4)) return d->C < 64 || d->K < 64 ? ZS_ALGO_DIRECT : ZS_ALGO_F2;
    return d->algo == ZS_ALGO_F2 || d->algo == ZS_ALGO_SIGNS ? ZS_ALGO_F2 : ZS_ALGO_F4;
}

/* Of Winograd's tiles; 0 where sums are direct. */
static int span_of(const zs_conv2d *d) {
    const zs_algo algo = ZS_ISA(conv2d_algo)(d);
    return algo == ZS_ALGO_F4 ? 4 : algo == ZS_ALGO_F2 ? 2 : 0;
}

static size_t ZS_ISA(conv2d_packed_bytes)(const zs_conv2d *d, bool back) {
    const int span = span_of(d);
    return span ? wino_packed_reals(span, d, back) * sizeof(real) : direct_packed_bytes(d, back);
}

static void ZS_ISA(conv2d_pack)(const zs_conv2d *d, const void *w, bool back, void *packed) {
    const int span = span_of(d);
    if (span)
        wino_pack(span, d, w, back, packed);
    else
        direct_pack(d, w, back, packed);
}

static size_t ZS_ISA(conv2d_scratch_bytes)(const zs_conv2d *d) {
    const int span = span_of(d);
    return span ? wino_scratch_reals(span, d) * sizeof(real) : direct_scratch_bytes(d);
}

static void ZS_ISA(conv2d_fwd)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const void *packed,
                               const void *bias, const zs_view *y, void *scratch) {
    const int span = span_of(d);
    if (span)
        wino_fwd(span, d, n0, n1, x, packed, bias, y, scratch);
    else
        direct_fwd(d, n0, n1, x, packed, bias, y, scratch);
}

static void ZS_ISA(conv2d_bwd_x)(const zs_conv2d *d, int n0, int n1, const zs_view *dy, const void *packed,
                                 const zs_view *x, const zs_view *dx, bool add, void *scratch) {
    const int span = span_of(d);
    if (span)
        wino_bwd(span, d, n0, n1, x, dy, packed, dx, add, NULL, scratch);
    else
        direct_bwd_x(d, n0, n1, dy, packed, x, dx, add, scratch);
}

static void wino_bias(const zs_conv2d *d, int n0, int n1, const zs_view *dy, real *db) {
    if (!db) return;
    memset(db, 0, (size_t)d->K * sizeof(real));
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < d->P; p++) bias_row(d, at(dy, n, p, 0), dy->sw, db);
}

static void ZS_ISA(conv2d_bwd_w)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy, void *dw,
                                 void *db, void *scratch) {
    const int span = span_of(d);
    if (!span) {
        direct_bwd_w(d, n0, n1, x, dy, dw, db, scratch);
        return;
    }
    wino_bwd(span, d, n0, n1, x, dy, NULL, NULL, false, dw, scratch);
    wino_bias(d, n0, n1, dy, db);
}

static void ZS_ISA(conv2d_bwd)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy,
                               const void *packed, const zs_view *dx, bool add, void *dw, void *db, void *scratch) {
    wino_bwd(span_of(d), d, n0, n1, x, dy, packed, dx, add, dw, scratch);
    wino_bias(d, n0, n1, dy, db);
}
