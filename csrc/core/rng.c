/* MT19937 (Matsumoto and Nishimura 1998), PyTorch's CPU draws from it, and a counter generator.
   Bits are promised here: compile with -ffp-contract=off; fmaf may be hardware or library. */
#include "core/rng.h"

#include <float.h>
#include <math.h>

enum { MT_M = 397, NORMAL_BLOCK = 16 };

static const double TWO_PI = 6.283185307179586476925;

/* ---- the stream ---- */

void zs_rng_seed(zs_rng *rng, uint64_t seed) {
    rng->mt[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < ZS_MT_N; i++) {
        const uint32_t prev = rng->mt[i - 1];
        rng->mt[i] = 1812433253u * (prev ^ (prev >> 30)) + i;
    }
    rng->pos = ZS_MT_N;
    rng->has_normal = false;
    rng->normal_cache = 0.0;
}

static inline uint32_t twist(uint32_t upper, uint32_t lower) {
    const uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
    return (y >> 1) ^ ((0u - (lower & 1u)) & 0x9908b0dfu);
}

static inline uint32_t temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* The next 624 words. Split where i + 397 wraps, so that both loops vectorise. */
static void refill(zs_rng *rng) {
    uint32_t *const mt = rng->mt;
    for (size_t i = 0; i < ZS_MT_N - MT_M; i++) mt[i] = mt[i + MT_M] ^ twist(mt[i], mt[i + 1]);
    for (size_t i = ZS_MT_N - MT_M; i < ZS_MT_N - 1; i++) mt[i] = mt[i - (ZS_MT_N - MT_M)] ^ twist(mt[i], mt[i + 1]);
    mt[ZS_MT_N - 1] = mt[MT_M - 1] ^ twist(mt[ZS_MT_N - 1], mt[0]);
    rng->pos = 0;
}

uint32_t zs_rng_u32(zs_rng *rng) {
    if (rng->pos == ZS_MT_N) refill(rng);
    return temper(rng->mt[rng->pos++]);
}

/* ---- uniform ---- */

static inline int32_t low24(uint32_t word) { return (int32_t)(temper(word) & 0xffffffu); }

/* Wanted is fma(u, 2b, -b), u = k 2^-24: one rounding of b (2u - 1). But 2u - 1 = (k - 2^23) 2^-23
   is a float, so a plain product rounds just the same. It never reaches b unless b is subnormal. */
static void fill_symmetric(const uint32_t *words, size_t n, float b, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = b * ((float)(low24(words[i]) - 0x800000) * 0x1p-23f);
}

static void fill_unit(const uint32_t *words, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = (float)low24(words[i]) * 0x1p-24f;
}

/* Rounding may reach hi, which the interval leaves out: torch then says lo. */
static void fill_between(const uint32_t *words, size_t n, float lo, float hi, float *out) {
    for (size_t i = 0; i < n; i++) {
        const float value = fmaf((float)low24(words[i]) * 0x1p-24f, hi - lo, lo);
        out[i] = value == hi ? lo : value;
    }
}

void zs_rng_uniform_f32(zs_rng *rng, size_t n, double lo, double hi, float *out) {
    const float a = (float)lo, b = (float)hi;
    while (n > 0) {
        if (rng->pos == ZS_MT_N) refill(rng);
        const size_t n_left = ZS_MT_N - rng->pos;
        const size_t n_run = n < n_left ? n : n_left;
        const uint32_t *const words = rng->mt + rng->pos;
        if (a == -b && b >= FLT_MIN)
            fill_symmetric(words, n_run, b, out);
        else if (a == 0.0f && b == 1.0f)
            fill_unit(words, n_run, out);
        else
            fill_between(words, n_run, a, b, out);
        rng->pos += n_run;
        out += n_run;
        n -= n_run;
    }
}

/* ---- normal ---- */

/* Natural logarithm, sine and cosine in float by the polynomials of Cephes (Moshier), as torch
   evaluates them from AVX2 up: what fuses there is fmaf here, no more and no less, which gives its
   bits. logf, sinf and cosf are closer to the truth, but up to 5 ulp from torch. */
static float polynomial(const float *coefs, size_t n, float x) {
    float y = coefs[0];
    for (size_t i = 1; i < n; i++) y = fmaf(y, x, coefs[i]);
    return y;
}

/* x in [2^-24, 1]: ln x = e ln 2 + ln(1 + f), sqrt(1/2) <= 1 + f < sqrt 2; ln 2 in two parts. */
static float log_of(float x) {
    static const float COEFS[9] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                   -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                   2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
    const float sqrt_half = 0.707106781186547524f;
    int exponent;
    const float mantissa = frexpf(x, &exponent);
    const bool is_small = mantissa < sqrt_half;
    const float f = is_small ? 2.0f * mantissa - 1.0f : mantissa - 1.0f;
    const float e = (float)(is_small ? exponent - 1 : exponent);
    const float f2 = f * f;
    const float tail = fmaf(polynomial(COEFS, 9, f) * f, f2, e * -2.12194440e-4f);
    return fmaf(e, 0.693359375f, f + (tail - 0.5f * f2));
}

/* x in [0, 2 pi], reduced by the nearest multiple of pi/2; pi/4 in three parts. */
static void sincos_of(float x, float *sine, float *cosine) {
    static const float SIN[3] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
    static const float COS[3] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
    const int octant = ((int)(x * 1.27323954473516f) + 1) & ~1;
    const float n = (float)octant;
    float r = fmaf(n, -0.78515625f, x);
    r = fmaf(n, -2.4187564849853515625e-4f, r);
    r = fmaf(n, -3.77489497744594108e-8f, r);
    const float r2 = r * r;
    const float s = fmaf(polynomial(SIN, 3, r2) * r2, r, r);
    const float c = fmaf(polynomial(COS, 3, r2) * r2, r2, -0.5f * r2) + 1.0f;
    const bool swap = octant & 2;
    *sine = octant & 4 ? -(swap ? c : s) : (swap ? c : s);
    *cosine = (octant + 2) & 4 ? -(swap ? s : c) : (swap ? s : c);
}

/* Box and Muller in place: uniforms x[0..8) give radii, x[8..16) angles. */
static void normal_block(float *x, float mean, float std) {
    for (size_t j = 0; j < NORMAL_BLOCK / 2; j++) {
        float sine, cosine;
        const float radius = sqrtf(-2.0f * log_of(1.0f - x[j]));
        sincos_of((float)TWO_PI * x[j + NORMAL_BLOCK / 2], &sine, &cosine);
        x[j] = fmaf(radius * cosine, std, mean);
        x[j + NORMAL_BLOCK / 2] = fmaf(radius * sine, std, mean);
    }
}

static double uniform_f64(zs_rng *rng) {
    const uint64_t high = zs_rng_u32(rng);
    const uint64_t word = high << 32 | zs_rng_u32(rng);
    return (double)(word & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* One value of the pairwise draw in double, which torch uses below 16 elements. The second of a
   pair waits in the generator, even for another tensor. */
static double normal_f64(zs_rng *rng) {
    if (rng->has_normal) {
        rng->has_normal = false;
        return rng->normal_cache;
    }
    const double t = TWO_PI * uniform_f64(rng);
    const double r = sqrt(-2.0 * log1p(-uniform_f64(rng)));
    rng->normal_cache = r * sin(t);
    rng->has_normal = true;
    return r * cos(t);
}

void zs_rng_normal_f32(zs_rng *rng, size_t n, double mean, double std, float *out) {
    if (n < NORMAL_BLOCK) {
        for (size_t i = 0; i < n; i++) out[i] = (float)(normal_f64(rng) * std + mean);
        return;
    }
    zs_rng_uniform_f32(rng, n, 0.0, 1.0, out);
    for (size_t i = 0; i + NORMAL_BLOCK <= n; i += NORMAL_BLOCK) normal_block(out + i, (float)mean, (float)std);
    if (n % NORMAL_BLOCK != 0) { /* the last 16, partly done above, are drawn afresh */
        float *const tail = out + n - NORMAL_BLOCK;
        zs_rng_uniform_f32(rng, NORMAL_BLOCK, 0.0, 1.0, tail);
        normal_block(tail, (float)mean, (float)std);
    }
}

/* ---- by counter ---- */

/* Output function of SplitMix64 (Steele, Lea and Flood 2014, with Stafford's variant 13). */
static uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Element `index` of a SplitMix64 sequence that starts at a hash of (seed, stream). */
double zs_rng_at(uint64_t seed, uint64_t stream, uint64_t index) {
    const uint64_t gamma = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio, odd */
    const uint64_t start = mix64(mix64(seed + gamma) + (stream + 1) * gamma);
    return (double)(mix64(start + (index + 1) * gamma) >> 11) * 0x1p-53;
}
