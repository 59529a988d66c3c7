#include "cpu/dispatch.h"

#include <string.h>

#include "core/arena.h"

/* An ISA overwrites the slots of the reference table that it does better. */
#define ZS_TABLE_DECLARE(isa)                   \
    void zs_kernels_fill_##isa##_f32(zs_kernels *t); \
    void zs_kernels_fill_##isa##_f64(zs_kernels *t);
#define ZS_TABLE_FILLS(isa) {zs_kernels_fill_##isa##_f32, zs_kernels_fill_##isa##_f64}

typedef struct table {
    const char *name;
    bool (*usable)(void); /* asks the processor, never the compiler */
    void (*fill[2])(zs_kernels *t); /* by dtype; NULL: the reference itself */
} table;

static bool always(void) { return true; }

/* The base line of the architecture is compiled without flags: SSE2 on x86-64, NEON on 64-bit Arm. */
#ifdef __aarch64__
#define ZS_BASELINE "neon"
#else
#define ZS_BASELINE "baseline"
#endif
ZS_TABLE_DECLARE(baseline)

#ifdef __x86_64__
ZS_TABLE_DECLARE(avx2)
ZS_TABLE_DECLARE(avx512)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

/* THE list of tables, best last. */
static const table TABLES[] = {
    {"reference", always, {NULL, NULL}},
    {ZS_BASELINE, always, ZS_TABLE_FILLS(baseline)},
#ifdef __x86_64__
    {"avx2", has_avx2, ZS_TABLE_FILLS(avx2)},
    {"avx512", has_avx512, ZS_TABLE_FILLS(avx512)},
#endif
};

enum { N_TABLES = sizeof TABLES / sizeof *TABLES };

int zs_cpu_n_tables(void) { return N_TABLES; }
const char *zs_cpu_table_name(int i) { return TABLES[i].name; }
bool zs_cpu_table_usable(int i) { return TABLES[i].usable(); }

bool zs_cpu_kernels(zs_dtype dtype, const char *name, zs_kernels *out) {
    const bool automatic = strcmp(name, "auto") == 0;
    for (int i = N_TABLES - 1; i >= 0; i--) {
        if (!(automatic || strcmp(name, TABLES[i].name) == 0) || !TABLES[i].usable()) continue;
        *out = dtype == ZS_F64 ? zs_kernels_ref_f64 : zs_kernels_ref_f32;
        out->name = TABLES[i].name;
        if (TABLES[i].fill[dtype]) TABLES[i].fill[dtype](out);
        return true;
    }
    return false;
}

static bool kernels(const zs_backend *self, zs_dtype dtype, const char *name, zs_kernels *out) {
    (void)self;
    return zs_cpu_kernels(dtype, name, out);
}

static void *alloc(const zs_backend *self, size_t n_bytes) {
    (void)self;
    return zs_alloc_aligned(n_bytes);
}

static void release(const zs_backend *self, void *p) {
    (void)self;
    zs_free_aligned(p);
}

static void zero(const zs_backend *self, void *p, size_t n_bytes) {
    (void)self;
    memset(p, 0, n_bytes);
}

static zs_status sync(const zs_backend *self, zs_error *err) {
    (void)self, (void)err;
    return ZS_OK;
}

const zs_backend zs_backend_cpu = {
    .name = "cpu",
    .kernels = kernels,
    .alloc = alloc,
    .free = release,
    .zero = zero,
    .sync = sync,
};
