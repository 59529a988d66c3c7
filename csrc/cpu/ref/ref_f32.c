/* The reference kernels for float. */
#define real float
#define ZS_REF(name) name##_ref_f32
#define ZS_REF_DTYPE ZS_F32
#include "cpu/ref/ref.inc.h"

#include "cpu/ref/activation_ref.inc.h"
#include "cpu/ref/conv2d_ref.inc.h"
#include "cpu/ref/loss_ref.inc.h"
#include "cpu/ref/multiply_ref.inc.h"
#include "cpu/ref/norm_ref.inc.h"
#include "cpu/ref/pool_ref.inc.h"
#include "cpu/ref/sample_norm_ref.inc.h"
#include "cpu/ref/stats_ref.inc.h"
#include "cpu/ref/token_ref.inc.h"

#include "cpu/dispatch.h"
#include "cpu/ref/table_ref.inc.h"
