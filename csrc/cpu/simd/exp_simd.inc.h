/* exp(x) for x <= 0, as softmax needs it: 0 for minus infinity, NaN for NaN.

   x = n ln 2 + r with |r| <= ln(2) / 2 (a little more, as n is rounded from a rounded product), exp(r) by its series,
   times 2^n in two steps, so that results below the least normal number come out rounded like any other. ln 2 is taken in
   two parts, the first so short that its product with n is exact. The series is cut where the next term is below a tenth
   of a unit of rounding. */

enum {
    EXP_TERMS = sizeof(real) == 4 ? 7 : 13,
    MANTISSA = sizeof(real) == 4 ? 23 : 52,
    EXP_BIAS = sizeof(real) == 4 ? 127 : 1023
};

/* 2^n for the integer n that was rounded by adding ROUNDER: the last bits of that sum hold it. */
INLINE vec v_power_of_two(vec rounded) {
    return (vec)(((ints)rounded << MANTISSA) + ((ints){0} + ((lane)EXP_BIAS << MANTISSA)));
}

INLINE vec v_exp_negative(vec x) {
    static const double FACTORIALS[] = {1,    1,     2,      6,       24,       120,       720,
                                        5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
    const bool is_float = sizeof(real) == 4;
    const vec rounder = v_set((real)(is_float ? 0x1.8p23 : 0x1.8p52)); /* adding it rounds to integers */
    const vec least = v_set((real)(is_float ? -104.0 : -746.0));       /* exp of less rounds to 0 */
    const vec high = v_set((real)(is_float ? 0x1.62e4p-1 : 0x1.62e42fefa2p-1));
    const vec low = v_set((real)(is_float ? 1.428606820309417e-06 : 7.371002565167799e-13));
    const mask none = x < least;
    x = v_select(none, least, x);
    const vec n = (x * v_set((real)1.4426950408889634) + rounder) - rounder;
    const vec r = (x - n * high) - n * low;
    vec sum = v_set((real)(1.0 / FACTORIALS[EXP_TERMS]));
#pragma GCC unroll 16
    for (int i = EXP_TERMS - 1; i >= 0; i--) sum = sum * r + v_set((real)(1.0 / FACTORIALS[i]));
    const vec half = n * v_set((real)0.5) + rounder, rest = (n - (half - rounder)) + rounder;
    return v_select(none, (vec){0}, sum * v_power_of_two(half) * v_power_of_two(rest));
}
