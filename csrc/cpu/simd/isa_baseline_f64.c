/* No flags: SSE2 on x86-64, NEON on 64-bit Arm. */
#define real double
#define ZS_DTYPE ZS_F64
#define ZS_ISA(name) name##_baseline_f64
#define ZS_VEC_BYTES 16
#define ZS_ACCUMULATORS 12 /* vectors that fit in registers beside the operands */
#include "cpu/simd/table_simd.inc.h"
