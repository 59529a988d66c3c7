/* No flags: SSE2 on x86-64, NEON on 64-bit Arm. */
#define real float
#define ZS_DTYPE ZS_F32
#define ZS_ISA(name) name##_baseline_f32
#define ZS_VEC_BYTES 16
#ifdef __aarch64__
#define ZS_ACCUMULATORS 24 /* vectors that fit in registers beside the operands: of 32 */
#else
#define ZS_ACCUMULATORS 12 /* of 16 */
#endif
#include "cpu/simd/table_simd.inc.h"
