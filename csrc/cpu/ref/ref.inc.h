/* What every reference kernel file sees. `real` and ZS_REF come from ref_f32.c or ref_f64.c.
   Reference kernels are plain serial loops that read like their formula and add up in double. They stay for good: as
   the yardstick of the tests and as the fallback of every other table. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"

static inline const real *at(const zs_view *v, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w) {
    return (const real *)v->p + n * v->sn + h * v->sh + w * v->sw;
}

static inline real *at_mut(const zs_view *v, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w) {
    return (real *)v->p + n * v->sn + h * v->sh + w * v->sw;
}

static inline real relu(real x) { return x < 0 ? 0 : x; } /* NaN stays */
static inline bool relu_passes(real x) { return !(x <= 0); }

static inline void put(real *y, double value, bool add) { *y = (real)(add ? (double)*y + value : value); }
