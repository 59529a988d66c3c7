/* Compiled with -mavx2 -mfma. */
#define real double
#define ZS_DTYPE ZS_F64
#define ZS_ISA(name) name##_avx2_f64
#define ZS_VEC_BYTES 32
#define ZS_ACCUMULATORS 12 /* vectors that fit in registers beside the operands */
#include "cpu/simd/table_simd.inc.h"
