/* Products of images, one of which may stand for many of its pixels or channels, and the sums that are its gradient. */

INLINE void multiply_run(int n, const real *a, const real *b, bool one_channel, real *y, bool add) {
    const vec factor = v_set(*b);
    for (int i = 0; i < n; i += VL) { /* loads first, as in activation_run */
        const vec x = v_load_lanes(a + i, n - i), w = one_channel ? factor : v_load_lanes(b + i, n - i);
        const vec old = add ? v_load_lanes(y + i, n - i) : (vec){0};
        v_store_lanes(y + i, add ? old + x * w : x * w, n - i);
    }
}

static void ZS_ISA(multiply)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *b, bool one_channel,
                             const zs_view *y, bool add) {
    const zs_view *views[] = {a, b, y};
    const rows r = one_channel ? merge_rows(s, n0, n1, 3, views) : merge_all(s, n0, n1, 3, views);
    for (int n = r.n0; n < r.n1; n++)
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++) {
                const real *p = at(a, n, h, w), *q = at(b, n, h, w);
                real *out = at_mut(y, n, h, w);
                if (add) /* constants in each, as in scale */
                    multiply_run(r.C, p, q, one_channel, out, true);
                else
                    multiply_run(r.C, p, q, one_channel, out, false);
            }
}

/* A rectangle of pixels of one sample. */
typedef struct rectangle {
    int n, h0, h1, w0, w1;
} rectangle;

/* db[c] = sum over the rectangle of a dy: runs of RUN pixels in real */
enum { RUN = 128 };

INLINE void sum_pixels_strip(int U, int c, int n_lanes, rectangle p, const zs_view *a, const zs_view *dy, real *db,
                             bool add) {
    double total[4 * VL] = {0};
    vec sum[4] = {{0}};
    real buffer[4 * VL];
    int run = 0;
    for (int h = p.h0; h < p.h1; h++)
        for (int w = p.w0; w < p.w1; w++) {
            const real *x = at(a, p.n, h, w) + c, *g = at(dy, p.n, h, w) + c;
            for (int u = 0; u < U; u++) sum[u] += v_load_lanes(x + u * VL, n_lanes) * v_load_lanes(g + u * VL, n_lanes);
            if (++run < RUN && (h + 1 < p.h1 || w + 1 < p.w1)) continue;
            for (int u = 0; u < U; u++) {
                v_store(buffer + u * VL, sum[u]);
                sum[u] = (vec){0};
            }
            for (int i = 0; i < U * VL; i++) total[i] += (double)buffer[i];
            run = 0;
        }
    const int n_channels = n_lanes < VL ? n_lanes : U * VL;
    for (int i = 0; i < n_channels; i++) db[c + i] = (real)(add ? (double)db[c + i] + total[i] : total[i]);
}

/* Over all channels of the rectangle, too. */
static double sum_of_rectangle(int C, rectangle p, const zs_view *a, const zs_view *dy) {
    double total = 0;
    for (int h = p.h0; h < p.h1; h++)
        for (int w = p.w0; w < p.w1; w++)
            for (int first = 0; first < C; first += RUN * VL) {
                const int n = C - first < RUN * VL ? C - first : RUN * VL;
                const real *x = at(a, p.n, h, w) + first, *g = at(dy, p.n, h, w) + first;
                vec sum = {0};
                for (int i = 0; i < n; i += VL) sum += v_load_lanes(x + i, n - i) * v_load_lanes(g + i, n - i);
                for (int i = 0; i < VL; i++) total += (double)sum[i];
            }
    return total;
}

static void ZS_ISA(multiply_sums)(zs_shape s, zs_shape t, int n0, int n1, const zs_view *a, const zs_view *dy,
                                  const zs_view *db, bool add) {
    if (t.C == s.C && t.H == s.H && t.W == s.W) {
        ZS_ISA(multiply)(s, n0, n1, a, dy, false, db, add);
        return;
    }
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < t.H; h++)
            for (int w = 0; w < t.W; w++) {
                const rectangle p = {n, h, t.H == 1 ? s.H : h + 1, w, t.W == 1 ? s.W : w + 1};
                real *out = at_mut(db, n, h, w);
                if (t.C == s.C) {
                    FOR_STRIPS(4, s.C, sum_pixels_strip, p, a, dy, out, add);
                } else {
                    const double sum = sum_of_rectangle(s.C, p, a, dy);
                    *out = (real)(add ? (double)*out + sum : sum);
                }
            }
}
