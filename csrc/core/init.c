/* Weight initialisers. Scales are computed in double, in torch.nn.init's order of operations, so
   that the float bounds have the same bits. Compile with -ffp-contract=off. */
#include "core/init.h"

#include <math.h>
#include <string.h>

typedef enum distribution { UNIFORM, NORMAL, ORTHOGONAL } distribution;

static const struct {
    const char *name;
    distribution distribution;
} INITS[ZS_N_INITS] = {
#define ZS_INIT_ENTRY(NAME, name, distribution) { #name, distribution },
    ZS_INIT_TABLE(ZS_INIT_ENTRY)
#undef ZS_INIT_ENTRY
};

int zs_init_by_name(const char *name) {
    for (int kind = 0; kind < ZS_N_INITS; kind++)
        if (strcmp(name, INITS[kind].name) == 0) return kind;
    return -1;
}

const char *zs_init_name(int kind) { return kind >= 0 && kind < ZS_N_INITS ? INITS[kind].name : NULL; }

/* ---- orthogonal ---- */

enum { LANES = 8 };

/* The O x (I R S) matrix of a weight as its n rows or columns, whichever are fewer: vectors of
   length len, kept in double one after the other, each padded with zeros to whole lanes (ld). */
typedef struct vectors {
    size_t n, len, ld;
    size_t next, step; /* strides in the matrix: to the next vector, along one */
} vectors;

static vectors vectors_of(const zs_init_shape *shape) {
    const size_t rows = (size_t)shape->O;
    const size_t cols = (size_t)shape->I * (size_t)shape->R * (size_t)shape->S;
    if (rows < cols) return (vectors){rows, cols, zs_round_up(cols, LANES), cols, 1};
    return (vectors){cols, rows, zs_round_up(rows, LANES), 1, cols};
}

size_t zs_init_scratch_bytes(const zs_init_shape *shapes, size_t n_tensors, int kind) {
    size_t n_max = 0;
    if (kind != ZS_INIT_ORTHOGONAL) return 0;
    for (size_t i = 0; i < n_tensors; i++) {
        const vectors v = vectors_of(&shapes[i]);
        if (shapes[i].role == ZS_ROLE_WEIGHT && v.n * v.ld > n_max) n_max = v.n * v.ld;
    }
    return n_max * sizeof(double);
}

static double dot(size_t n, const double *a, const double *b) {
    double part[LANES] = {0.0}; /* the order of the sum is ours, not the compiler's */
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES; l++) part[l] += a[i + l] * b[i + l];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) part[l] += part[l + half];
    return part[0];
}

/* Modified Gram-Schmidt: the Q of the QR factorisation with diag(R) > 0, which is the one that
   torch's sign fix selects. Orthogonality suffers by 2^-53 times the condition number: still far
   below the float that Q is rounded to. A vector without a direction becomes 0, as in torch. */
static void orthonormalise(const vectors *v, double *q) {
    for (size_t j = 0; j < v->n; j++) {
        double *const qj = q + j * v->ld;
        const double norm = sqrt(dot(v->ld, qj, qj));
        for (size_t i = 0; i < v->ld; i++) qj[i] = norm > 0.0 ? qj[i] / norm : 0.0;
        for (size_t k = j + 1; k < v->n; k++) {
            double *const qk = q + k * v->ld;
            const double r = dot(v->ld, qj, qk);
            for (size_t i = 0; i < v->ld; i++) qk[i] -= r * qj[i];
        }
    }
}

/* w holds standard normal values and is overwritten. */
static void make_orthogonal(const zs_init_shape *shape, float *w, double *q) {
    const vectors v = vectors_of(shape);
    for (size_t j = 0; j < v.n; j++)
        for (size_t i = 0; i < v.ld; i++) q[j * v.ld + i] = i < v.len ? (double)w[j * v.next + i * v.step] : 0.0;
    orthonormalise(&v, q);
    for (size_t j = 0; j < v.n; j++)
        for (size_t i = 0; i < v.len; i++) w[j * v.next + i * v.step] = (float)q[j * v.ld + i];
}

/* ---- any kind ---- */

/* A kind may leave some layers as they are by default. */
static int kind_of_layer(int kind, const zs_init_shape *shape) {
    return kind == ZS_INIT_BURGERFORMER && !shape->linear ? ZS_INIT_TORCH : kind;
}

/* Standard deviation of a weight; a uniform one reaches sqrt(3) times that. */
static double deviation(int kind, const zs_init_shape *shape) {
    const double slope = sqrt(5.0); /* of the leaky ReLU that torch's default pretends */
    const double fan_in = shape->fan_in;
    const double fan_out = (double)shape->O * shape->R * shape->S;
    switch ((zs_init_kind)kind) {
    case ZS_INIT_TORCH: return sqrt(2.0 / (1.0 + slope * slope)) / sqrt(fan_in);
    case ZS_INIT_XAVIER_UNIFORM:
    case ZS_INIT_XAVIER_NORMAL: return sqrt(2.0 / (fan_in + fan_out));
    case ZS_INIT_KAIMING_UNIFORM:
    case ZS_INIT_KAIMING_NORMAL: return sqrt(2.0) / sqrt(fan_in);
    case ZS_INIT_KAIMING_UNIFORM_FAN_OUT:
    case ZS_INIT_KAIMING_NORMAL_FAN_OUT: return sqrt(2.0) / sqrt(fan_out);
    case ZS_INIT_NASBENCH101: return shape->linear ? 0.01 : sqrt(2.0 / fan_out);
    case ZS_INIT_PROXYLESSNAS:
    case ZS_INIT_FAIRNAS: return sqrt(2.0 / fan_out);
    case ZS_INIT_BURGERFORMER: return 0.02;
    case ZS_INIT_ORTHOGONAL:
    case ZS_INIT_NORMAL:
    case ZS_N_INITS: break;
    }
    return 1.0;
}

static void draw_weight(zs_rng *rng, int kind, const zs_init_shape *shape, size_t n, float *out, void *scratch) {
    if (shape->linear && kind == ZS_INIT_PROXYLESSNAS) return;
    if (shape->linear && kind == ZS_INIT_FAIRNAS) {
        const double b = 1.0 / sqrt((double)shape->O);
        zs_rng_uniform_f32(rng, n, -b, b, out);
        return;
    }
    const double std = deviation(kind, shape);
    const double bound = sqrt(3.0) * std;
    switch (INITS[kind].distribution) {
    case UNIFORM: zs_rng_uniform_f32(rng, n, -bound, bound, out); return;
    case NORMAL: zs_rng_normal_f32(rng, n, 0.0, std, out); return;
    case ORTHOGONAL:
        zs_rng_normal_f32(rng, n, 0.0, std, out);
        make_orthogonal(shape, out, scratch);
        return;
    }
}

static void fill(size_t n, float value, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = value;
}

void zs_init_tensor(zs_rng *rng, int kind, const zs_init_shape *shape, float *out, void *scratch) {
    ZS_ASSERT(kind >= 0 && kind < ZS_N_INITS);
    kind = kind_of_layer(kind, shape);
    const size_t n_per_output = (size_t)shape->I * (size_t)shape->R * (size_t)shape->S;
    const size_t n = (size_t)shape->O * n_per_output;
    switch (shape->role) {
    case ZS_ROLE_WEIGHT:
        ZS_ASSERT((size_t)shape->fan_in == n_per_output);
        draw_weight(rng, kind, shape, n, out, scratch);
        return;
    case ZS_ROLE_BIAS: {
        const double bound = 1.0 / sqrt((double)shape->fan_in);
        if (kind == ZS_INIT_TORCH)
            zs_rng_uniform_f32(rng, n, -bound, bound, out);
        else
            fill(n, 0.0f, out);
        return;
    }
    case ZS_ROLE_SCALE: fill(n, (float)shape->initial, out); return;
    case ZS_ROLE_GAMMA:
    case ZS_ROLE_RUNNING_VAR: fill(n, 1.0f, out); return;
    case ZS_ROLE_BETA:
    case ZS_ROLE_RUNNING_MEAN: fill(n, 0.0f, out); return;
    case ZS_N_ROLES: break;
    }
    ZS_ASSERT(false);
}

void zs_init_all(const zs_init_shape *shapes, size_t n_tensors, int kind, uint64_t seed, float *const *outs,
                 void *scratch) {
    zs_rng rng;
    zs_rng_seed(&rng, seed);
    for (size_t i = 0; i < n_tensors; i++) zs_init_tensor(&rng, ZS_INIT_TORCH, &shapes[i], outs[i], scratch);
    for (size_t i = 0; i < n_tensors; i++)
        if (kind_of_layer(kind, &shapes[i]) != ZS_INIT_TORCH) zs_init_tensor(&rng, kind, &shapes[i], outs[i], scratch);
}
