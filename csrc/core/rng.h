/* Random numbers: one MT19937 stream drawn as PyTorch's CPU generator draws it (weights), and
   value = f(seed, stream, index) for everything else.

     zs_rng rng;
     zs_rng_seed(&rng, 0);
     zs_rng_uniform_f32(&rng, n, -b, b, w);      torch.manual_seed(0); w.uniform_(-b, b)

   A zs_rng is plain data: copy it to fork the stream, keep one per thread. */
#ifndef ZS_RNG_H
#define ZS_RNG_H

#include "core/base.h"

enum { ZS_MT_N = 624 };

typedef struct zs_rng {
    uint32_t mt[ZS_MT_N];
    size_t pos;      /* next word of mt; ZS_MT_N: refill first */
    bool has_normal; /* normal_cache holds the second half of a pair */
    double normal_cache;
} zs_rng;

/* Start of the stream of `seed` modulo 2^32. Must precede every draw. */
void zs_rng_seed(zs_rng *rng, uint64_t seed);

uint32_t zs_rng_u32(zs_rng *rng);

/* out[0..n) is overwritten with torch's uniform_(lo, hi), lo <= hi, bit for bit as drawn from AVX2
   up; one word per element. lo and hi are rounded to float first, as there. */
void zs_rng_uniform_f32(zs_rng *rng, size_t n, double lo, double hi, float *out);

/* out[0..n) is overwritten with torch's normal_(mean, std). n >= 16: by blocks, bit for bit as
   drawn from AVX2 up. n < 16: in pairs, in double, equal as far as the C library's log1p, sin and
   cos are; the unused half of a pair waits in rng for the next such draw. */
void zs_rng_normal_f32(zs_rng *rng, size_t n, double mean, double std, float *out);

/* Uniform in [0, 1) with 53 random bits, a pure function of its arguments. */
double zs_rng_at(uint64_t seed, uint64_t stream, uint64_t index);

#endif
