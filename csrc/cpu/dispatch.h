/* Kernel tables of this CPU, chosen by what the machine can do or forced by name. */
#ifndef ZS_CPU_DISPATCH_H
#define ZS_CPU_DISPATCH_H

#include "core/kernels.h"

extern const zs_kernels zs_kernels_ref_f32, zs_kernels_ref_f64;

/* Copies the table `name`, or the best one that runs here for "auto". False if it is unknown or not usable here. */
bool zs_cpu_kernels(zs_dtype dtype, const char *name, zs_kernels *out);
int zs_cpu_n_tables(void);                /* compiled in, best last */
const char *zs_cpu_table_name(int i);
bool zs_cpu_table_usable(int i);

extern const zs_backend zs_backend_cpu;

#endif
