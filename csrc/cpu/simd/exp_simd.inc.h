/* e^z for z <= 0, and what it takes to keep its digits.

   With z = n ln 2 + r, |r| <= ln(2) / 2,
       e^z = 2^n (1 + q),  q = r + r^2/2! + ... + r^k/k!,
   where the series' rest is below 2^-26.5 of q for k = 7 (float) and below 2^-55 for k = 13 (double). From q follows
   e^z - 1 = 2^n q + (2^n - 1), which near 0 keeps the digits that 1 takes from e^z. */

#define IS_FLOAT (sizeof(real) == 4)
#define REAL(float_value, double_value) ((real)(IS_FLOAT ? (float_value) : (double_value)))

typedef __typeof__(__builtin_choose_expr(sizeof(real) == 4, (uint32_t)0, (uint64_t)0)) lane_bits;
typedef lane_bits bit_lanes __attribute__((vector_size(ZS_VEC_BYTES)));

enum { MANTISSA = sizeof(real) == 4 ? 23 : 52, BIAS = sizeof(real) == 4 ? 127 : 1023, SERIES = IS_FLOAT ? 7 : 13 };

/* Added to a small number, leaves its nearest integer in the lowest bits. */
#define ROUNDER REAL(0x1.8p23, 0x1.8p52)

INLINE vec power_of_two(vec rounded) { return (vec)(((bit_lanes)rounded + BIAS) << MANTISSA); }

/* e^(z + rest) = lower * upper * (1 + q): two factors, as 2^n may be smaller than the smallest normal number. */
typedef struct exponential {
    vec q, lower, upper;
} exponential;

INLINE exponential v_exponential(vec z, vec rest) {
    static const double inverse_factorials[] = {
        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
        1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
    };
    const real log2_e = (real)1.4426950408889634074;
    /* ln 2 in two parts, the first short enough that its products with n are exact */
    const real ln2 = REAL(0x1.62ep-1, 0x1.62e42feep-1), ln2_rest = REAL(0x1.0bfbe8e8p-15, 0x1.a39ef35793c76p-33);
    const vec n = (z * log2_e + ROUNDER) - ROUNDER;
    const vec half = n * (real)0.5 + ROUNDER, other_half = (n - (half - ROUNDER)) + ROUNDER;
    const vec r = (z - n * ln2) - (n * ln2_rest - rest);
    vec p = v_set((real)inverse_factorials[SERIES - 2]);
    for (int k = SERIES - 3; k >= 0; k--) p = p * r + (real)inverse_factorials[k];
    return (exponential){.q = p * r * r + r, .lower = power_of_two(half), .upper = power_of_two(other_half)};
}

INLINE vec v_exp(exponential e) { return (e.lower + e.lower * e.q) * e.upper; }
INLINE vec v_expm1(exponential e) {
    const vec power = e.lower * e.upper;
    return power * e.q + (power - (real)1);
}

INLINE vec at_least(vec x, real least) { return v_select(x < v_set(least), v_set(least), x); }

/* e^-|x|, as far as it is not 0 */
INLINE exponential v_decay(vec x) { return v_exponential(at_least(-v_abs(x), REAL(-105, -746)), (vec){0}); }
