/* Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma. */
#define real double
#define ZS_DTYPE ZS_F64
#define ZS_ISA(name) name##_avx512_f64
#define ZS_VEC_BYTES 64
#define ZS_ACCUMULATORS 24 /* vectors that fit in registers beside the operands */
#include "cpu/simd/table_simd.inc.h"
