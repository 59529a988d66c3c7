/* Activations, their first and second derivatives: the table of ops/activation.c.

   All that is not made of lines comes from e^z, z <= 0 (exp_simd.inc.h), so nothing overflows.

   The tail of the normal distribution, P(X > a), a >= 0, is e^(-a^2/2) M(a) / (a + 4), M a polynomial in
   (a - 4) / (a + 4), interpolated at Chebyshev's points: within 2^-28 for a < 14.75 (float), 2^-58 for a < 39 (double);
   beyond that the tail is less than half of the smallest number. Squares of a are exact: those of its upper half and a
   rest that adds to r. */

INLINE vec at_most(vec x, real most) { return v_select(x > v_set(most), v_set(most), x); } /* NaN stays */
INLINE vec v_signed_as(vec x, vec sign) {
    const mask minus = (mask)v_set((real)-0.0);
    return (vec)(((mask)x & ~minus) | ((mask)sign & minus));
}

/* --- sigmoid and tanh --------------------------------------------------------------------------------------------- */

typedef struct sigmoid {
    vec value, slope, curve;
} sigmoid;

/* with t = e^-|x|: s = 1 / (1 + t) or t / (1 + t), s' = t / (1 + t)^2, s'' = -+ t (1 - t) / (1 + t)^3 */
INLINE sigmoid v_sigmoid(vec x) {
    const exponential e = v_decay(x);
    const vec t = v_exp(e), d = (real)1 / ((real)1 + t), slope = t * d * d;
    return (sigmoid){
        .value = v_select(x < (vec){0}, t * d, d), .slope = slope, .curve = v_signed_as(slope * d * v_expm1(e), -x)};
}

/* with u = e^-2|x|: tanh |x| = (1 - u) / (1 + u), tanh' = 4 u / (1 + u)^2 */
INLINE vec v_tanh(vec x) {
    const vec m = v_expm1(v_decay(x + x));
    return v_signed_as(m / ((real)2 + m), x);
}

INLINE vec v_tanh_slope(vec x) {
    const vec u = v_exp(v_decay(x + x)), d = (real)1 / ((real)1 + u);
    return (real)4 * u * d * d;
}

/* --- gelu --------------------------------------------------------------------------------------------------------- */

typedef struct normal {
    vec below, density;
} normal;

INLINE normal v_normal(vec x) {
    static const double tail[2][25] = {
        {7.552851306e-1, -6.078966584e-1, 3.871373753e-1, -1.865212936e-1, 6.039741304e-2, -7.545275252e-3,
         -3.488703327e-3, 1.645769425e-3, 1.702316448e-4, -2.331928898e-4, -5.209739757e-5},
        {7.552851304157514929e-1,  -6.078966419718920878e-1, 3.871374007422146557e-1,  -1.865218579596593708e-1,
         6.039657489093021563e-2,  -7.540188966659892779e-3, -3.479692367252080827e-3, 1.630818456623573289e-3,
         1.333443107426556025e-4,  -2.310949275146249678e-4, -1.908246736207169732e-6, 3.514464951429031794e-5,
         7.166136531522344406e-7,  -5.920063789109943421e-6, -6.295418937455187947e-7, 1.021346127668307426e-6,
         2.715064876688306314e-7,  -1.547220083448871983e-7, -8.504053459156654793e-8, 1.312087826831195134e-8,
         1.934655833076747295e-8,  1.964327680621977122e-9,  -2.416548080318924628e-9, -7.268553477210609046e-10,
         -1.428076375615486078e-11},
    };
    const vec a = at_most(v_abs(x), REAL(14.75, 39));
    const vec upper = (vec)((bit_lanes)a & (bit_lanes)((bit_lanes){0} - ((lane_bits)1 << (IS_FLOAT ? 12 : 27))));
    const vec rest = (a - upper) * (a + upper);
    const vec decay = v_exp(v_exponential(upper * upper * (real)-0.5, rest * (real)-0.5));
    const vec d = (real)1 / (a + (real)4), y = (a - (real)4) * d;
    vec p = v_set((real)tail[IS_FLOAT ? 0 : 1][IS_FLOAT ? 10 : 24]);
    for (int k = IS_FLOAT ? 9 : 23; k >= 0; k--) p = p * y + (real)tail[IS_FLOAT ? 0 : 1][k];
    const vec above = p * d * decay;
    return (normal){.below = v_select(x > (vec){0}, (real)1 - above, above),
                    .density = (real)0.39894228040143267794 * decay};
}

/* --- one vector --------------------------------------------------------------------------------------------------- */

enum { VALUE, SLOPE, CURVE };

INLINE bool is_made_of_lines(zs_op_kind f) {
    return f == ZS_OP_RELU6 || f == ZS_OP_HARD_SIGMOID || f == ZS_OP_HARD_SWISH;
}

INLINE vec clipped(vec x) { return at_most(at_least(x, 0), 6); }

INLINE vec activation_of_lines(zs_op_kind f, int order, vec x) {
    const real sixth = (real)(1.0 / 6), third = (real)(1.0 / 3);
    const mask inside = (x > v_set(-3)) & (x < v_set(3));
    const vec none = {0};
    if (f == ZS_OP_RELU6) {
        if (order == VALUE) return clipped(x);
        return order == SLOPE ? v_select((x <= none) | (x >= v_set(6)), none, v_set(1)) : none;
    }
    if (f == ZS_OP_HARD_SIGMOID) {
        if (order == VALUE) return clipped(x + (real)3) * sixth;
        return order == SLOPE ? v_select(inside, v_set(sixth), none) : none;
    }
    if (order == VALUE) return x * clipped(x + (real)3) * sixth;
    if (order == CURVE) return v_select(inside, v_set(third), none);
    return v_select(x <= v_set(-3), none, v_select(x < v_set(3), x * third + (real)0.5, v_set(1)));
}

INLINE vec activation(zs_op_kind f, int order, vec x) {
    if (is_made_of_lines(f)) return activation_of_lines(f, order, x);
    if (f == ZS_OP_TANH) {
        if (order == VALUE) return v_tanh(x);
        if (order == SLOPE) return v_tanh_slope(x);
        return (real)-2 * v_tanh(x) * v_tanh_slope(x);
    }
    if (f == ZS_OP_GELU) {
        const normal p = v_normal(x);
        if (order == VALUE) return x * p.below;
        if (order == SLOPE) return p.below + x * p.density;
        return (real)2 * p.density - x * p.density * x;
    }
    const sigmoid s = v_sigmoid(x);
    if (f == ZS_OP_SIGMOID) return order == VALUE ? s.value : order == SLOPE ? s.slope : s.curve;
    if (order == VALUE) return x * s.value;
    if (order == SLOPE) return s.value + x * s.slope;
    return (real)2 * s.slope + x * s.curve;
}

/* --- images ------------------------------------------------------------------------------------------------------- */

typedef struct activation_images { /* t and dy where the order has them */
    const zs_view *x, *t, *dy, *y;
    const real *bn;
    int group;
} activation_images;

/* All loads come first: their branches for tails would keep compilers from fusing products and sums. */
INLINE void activation_run(zs_op_kind f, int order, int C, const real *x, const real *bn, const real *t, const real *dy,
                           real *y, bool add) {
    for (int c = 0; c < C; c += VL) {
        const int left = C - c;
        vec v = v_load_lanes(x + c, left), g = {0}, old = {0};
        if (order >= SLOPE) g = v_load_lanes(dy + c, left);
        if (order == CURVE) g *= v_load_lanes(t + c, left);
        if (add) old = v_load_lanes(y + c, left);
        if (bn) {
            const vec mean = v_load_lanes(bn + c, left), scale = v_load_lanes(bn + C + c, left);
            const vec beta = v_load_lanes(bn + 2 * C + c, left);
            v = (v - mean) * scale + beta;
        }
        v = activation(f, order, v);
        if (order >= SLOPE) {
            const mask stopped = v == (vec){0};
            v *= g;
            if (is_made_of_lines(f)) v = v_select(stopped, (vec){0}, v);
            if (add) v += old;
        }
        v_store_lanes(y + c, v, left);
    }
}

/* Groups have their own coefficients, so samples are merged only where there are none. */
INLINE void activation_rows(zs_op_kind f, int order, zs_shape s, int n0, int n1, const activation_images *a, bool add) {
    const zs_view *views[] = {a->x, a->y, order >= SLOPE ? a->dy : a->x, order == CURVE ? a->t : a->x};
    rows r = a->bn ? merge_rows(s, n0, n0, 4, views) : merge_all(s, n0, n1, 4, views);
    if (a->bn) r.n1 = n1;
    for (int n = r.n0; n < r.n1; n++) {
        const real *bn = a->bn ? a->bn + (ptrdiff_t)(n / a->group) * 3 * s.C : NULL;
        for (int h = 0; h < r.H; h++)
            for (int w = 0; w < r.W; w++)
                activation_run(f, order, r.C, at(a->x, n, h, w), bn, order == CURVE ? at(a->t, n, h, w) : NULL,
                               order >= SLOPE ? at(a->dy, n, h, w) : NULL, at_mut(a->y, n, h, w), add);
    }
}

INLINE void activation_images_of(zs_op_kind f, int order, zs_shape s, int n0, int n1, const activation_images *a,
                                 bool add) {
    switch ((int)f) { /* a constant in each, and `add` too: compilers share nothing that they might fuse elsewhere */
#define CASE(op)                                                                        \
    case ZS_OP_##op:                                                                    \
        if (order >= SLOPE && add)                                                      \
            activation_rows(ZS_OP_##op, order, s, n0, n1, a, true);                     \
        else                                                                            \
            activation_rows(ZS_OP_##op, order, s, n0, n1, a, false);                    \
        break
        CASE(RELU6);
        CASE(SIGMOID);
        CASE(SILU);
        CASE(HARD_SIGMOID);
        CASE(HARD_SWISH);
        CASE(GELU);
        CASE(TANH);
#undef CASE
    default: ZS_ASSERT(false);
    }
}

static void ZS_ISA(activation_fwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                   const void *bn, const zs_view *y) {
    const activation_images a = {.x = x, .y = y, .bn = bn, .group = group};
    activation_images_of(f, VALUE, s, n0, n1, &a, false);
}

static void ZS_ISA(activation_bwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                   const void *bn, const zs_view *dy, const zs_view *dx, bool add) {
    const activation_images a = {.x = x, .dy = dy, .y = dx, .bn = bn, .group = group};
    activation_images_of(f, SLOPE, s, n0, n1, &a, add);
}

static void ZS_ISA(activation_bwd2)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                    const void *bn, const zs_view *t, const zs_view *dy, const zs_view *dx, bool add) {
    const activation_images a = {.x = x, .t = t, .dy = dy, .y = dx, .bn = bn, .group = group};
    activation_images_of(f, CURVE, s, n0, n1, &a, add);
}
