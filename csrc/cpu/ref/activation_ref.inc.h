/* Activations: the table of ops/activation.c, in double by the C library. */

static double sigmoid(double x) {
    const double t = exp(-fabs(x)); /* never overflows, and 1 - s = s(-x) is not cancelled */
    return (x < 0 ? t : 1) / (1 + t);
}

static double normal_below(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
static double normal_density(double x) { return 0.5 * M_2_SQRTPI * M_SQRT1_2 * exp(-0.5 * x * x); }
static double clipped(double x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static bool is_inside(double x) { return -3 < x && x < 3; }

static double activation(zs_op_kind f, double x) {
    switch (f) {
    case ZS_OP_RELU6: return clipped(x);
    case ZS_OP_SIGMOID: return sigmoid(x);
    case ZS_OP_SILU: return x * sigmoid(x);
    case ZS_OP_HARD_SIGMOID: return clipped(x + 3) / 6;
    case ZS_OP_HARD_SWISH: return x * clipped(x + 3) / 6;
    case ZS_OP_GELU: return x * normal_below(x);
    default: return tanh(x);
    }
}

static double slope(zs_op_kind f, double x) {
    const double bell = sigmoid(x) * sigmoid(-x), t = 1 / cosh(x);
    switch (f) {
    case ZS_OP_RELU6: return x <= 0 || x >= 6 ? 0 : 1;
    case ZS_OP_SIGMOID: return bell;
    case ZS_OP_SILU: return sigmoid(x) + x * bell;
    case ZS_OP_HARD_SIGMOID: return is_inside(x) ? 1.0 / 6 : 0;
    case ZS_OP_HARD_SWISH: return x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1;
    case ZS_OP_GELU: return normal_below(x) + x * normal_density(x);
    default: return t * t;
    }
}

static double curvature(zs_op_kind f, double x) {
    const double bell = sigmoid(x) * sigmoid(-x), change = -bell * tanh(0.5 * x); /* 1 - 2 s = -tanh(x / 2) */
    switch (f) {
    case ZS_OP_RELU6:
    case ZS_OP_HARD_SIGMOID: return 0;
    case ZS_OP_SIGMOID: return change;
    case ZS_OP_SILU: return 2 * bell + x * change;
    case ZS_OP_HARD_SWISH: return is_inside(x) ? 1.0 / 3 : 0;
    case ZS_OP_GELU: return 2 * normal_density(x) - x * normal_density(x) * x;
    default: return -2 * tanh(x) * slope(f, x);
    }
}

/* factor * dy; 0 where a line stops it, be dy infinite. */
static double times(zs_op_kind f, double factor, double dy) {
    const bool lines = f == ZS_OP_RELU6 || f == ZS_OP_HARD_SIGMOID || f == ZS_OP_HARD_SWISH;
    return lines && factor == 0 ? 0 : factor * dy;
}

/* The real that bn_fwd would have stored. */
static real normalised(real x, const real *bn, int C, int c) {
    return bn ? (x - bn[c]) * bn[C + c] + bn[2 * C + c] : x;
}

static const real *coefs_of(const void *bn, int n, int group, int C) {
    return bn ? (const real *)bn + (size_t)(n / group) * 3 * (size_t)C : NULL;
}

static void ZS_REF(activation_fwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                   const void *bn, const zs_view *y) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const real v = normalised(at(x, n, h, w)[c], coefs_of(bn, n, group, s.C), s.C, c);
                    at_mut(y, n, h, w)[c] = (real)activation(f, (double)v);
                }
}

static void ZS_REF(activation_bwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                   const void *bn, const zs_view *dy, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const real v = normalised(at(x, n, h, w)[c], coefs_of(bn, n, group, s.C), s.C, c);
                    put(&at_mut(dx, n, h, w)[c], times(f, slope(f, (double)v), (double)at(dy, n, h, w)[c]), add);
                }
}

static void ZS_REF(activation_bwd2)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x,
                                    const void *bn, const zs_view *t, const zs_view *dy, const zs_view *dx, bool add) {
    for (int n = n0; n < n1; n++)
        for (int h = 0; h < s.H; h++)
            for (int w = 0; w < s.W; w++)
                for (int c = 0; c < s.C; c++) {
                    const real v = normalised(at(x, n, h, w)[c], coefs_of(bn, n, group, s.C), s.C, c);
                    const double product = (double)at(t, n, h, w)[c] * (double)at(dy, n, h, w)[c];
                    put(&at_mut(dx, n, h, w)[c], times(f, curvature(f, (double)v), product), add);
                }
}
