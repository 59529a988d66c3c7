/* Products of images, one of which may stand for many of its pixels or channels. */

static void ZS_REF(multiply)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *b, bool one_channel,
                             const zs_view *y, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const double factor = (double)at(b, n, h, w)[one_channel ? 0 : c];
                    put(&at_mut(y, n, h, w)[c], (double)at(a, n, h, w)[c] * factor, add);
                }
}

static void ZS_REF(multiply_sums)(zs_shape s, zs_shape t, int n0, int n1, const zs_view *a, const zs_view *dy,
                                  const zs_view *db, bool add) {
    for (int n = n0; n < n1; n++)
        for (int p = 0; p < t.H; p++)
            for (int q = 0; q < t.W; q++)
                for (int k = 0; k < t.C; k++) {
                    double sum = 0;
                    for (int h = p; h < (t.H == 1 ? s.H : p + 1); h++)
                        for (int w = q; w < (t.W == 1 ? s.W : q + 1); w++)
                            for (int c = k; c < (t.C == 1 ? s.C : k + 1); c++)
                                sum += (double)at(a, n, h, w)[c] * (double)at(dy, n, h, w)[c];
                    put(&at_mut(db, n, p, q)[k], sum, add);
                }
}
