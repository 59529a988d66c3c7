/* Weight initialisers: PyTorch's default, those of torch.nn.init that the papers compare, and those
   with which networks of NAS-Bench-101, BurgerFormer and MBConv blocks redraw their weights.
   Tensors come in construction order from one stream (rng.h). No allocation: scratch is the
   caller's, zs_init_scratch_bytes says how much. */
#ifndef ZS_INIT_H
#define ZS_INIT_H

#include "core/graph.h"
#include "core/rng.h"

/* THE list: name, distribution and scale of a weight, uniform in [-b, b) or normal with deviation
   s; fan_in = I R S, fan_out = O R S. A bias follows its layer's default in `torch` and is 0 in all
   other kinds; gamma and running variance are 1, beta and running mean 0, a scale its `initial`,
   and these draw nothing. `burgerformer` leaves convolutions as `torch` has them. Its release cuts
   normals at +-2: that is a hundred deviations, and no draw of ours goes beyond nine. */
#define ZS_INIT_TABLE(KIND)                                                     \
    KIND(TORCH, torch, UNIFORM)                     /* b^2 = 1 / fan_in */      \
    KIND(XAVIER_UNIFORM, xavier_uniform, UNIFORM)   /* b^2 = 6 / (fan_in + fan_out) */ \
    KIND(XAVIER_NORMAL, xavier_normal, NORMAL)      /* s^2 = 2 / (fan_in + fan_out) */ \
    KIND(KAIMING_UNIFORM, kaiming_uniform, UNIFORM) /* b^2 = 6 / fan_in */      \
    KIND(KAIMING_NORMAL, kaiming_normal, NORMAL)    /* s^2 = 2 / fan_in */      \
    KIND(KAIMING_UNIFORM_FAN_OUT, kaiming_uniform_fan_out, UNIFORM) /* b^2 = 6 / fan_out */ \
    KIND(KAIMING_NORMAL_FAN_OUT, kaiming_normal_fan_out, NORMAL)    /* s^2 = 2 / fan_out */ \
    KIND(ORTHOGONAL, orthogonal, ORTHOGONAL)        /* orthonormal rows or columns */ \
    KIND(NORMAL, normal, NORMAL)                    /* s = 1 */                 \
    KIND(NASBENCH101, nasbench101, NORMAL)          /* s^2 = 2 / fan_out, linear layers s = 0.01 */ \
    KIND(BURGERFORMER, burgerformer, NORMAL)        /* linear layers alone, s = 0.02 */ \
    KIND(PROXYLESSNAS, proxylessnas, NORMAL)        /* s^2 = 2 / fan_out, linear layers stay as in torch */ \
    KIND(FAIRNAS, fairnas, NORMAL)                  /* s^2 = 2 / fan_out, linear layers uniform, b^2 = 1 / O */

typedef enum zs_init_kind {
#define ZS_INIT_ENUM(NAME, name, distribution) ZS_INIT_##NAME,
    ZS_INIT_TABLE(ZS_INIT_ENUM)
#undef ZS_INIT_ENUM
        ZS_N_INITS
} zs_init_kind;

/* A tensor to fill, dense, O x I x R x S (I of one group; what a tensor lacks is 1). */
typedef struct zs_init_shape {
    int O, I, R, S;
    int fan_in; /* of the layer: I R S of the weight, for its bias too; read for these two roles */
    zs_role role;
    bool linear; /* of a linear layer: its weight or bias */
    double initial; /* what a scale starts at */
} zs_init_shape;

int zs_init_by_name(const char *name); /* -1 if unknown */
const char *zs_init_name(int kind);    /* NULL if outside the list */

/* Scratch of either function below for these tensors, to be aligned for double; 0 (and scratch may
   be NULL) for every kind but orthogonal. */
size_t zs_init_scratch_bytes(const zs_init_shape *shapes, size_t n_tensors, int kind);

/* One tensor, from the stream as it stands; out is overwritten, but for what stays as in torch. */
void zs_init_tensor(zs_rng *rng, int kind, const zs_init_shape *shape, float *out, void *scratch);

/* A network as a PyTorch user gets it: seed; default construction of all tensors; then, for any
   other kind, a second pass over all of them that goes on with the same stream. outs[i] is
   overwritten. */
void zs_init_all(const zs_init_shape *shapes, size_t n_tensors, int kind, uint64_t seed, float *const *outs,
                 void *scratch);

#endif
