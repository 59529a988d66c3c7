/* What batch norm and its tangent have in common: sums over a group, coefficients by channel. */
#ifndef ZS_OPS_BATCH_NORM_H
#define ZS_OPS_BATCH_NORM_H

#include "core/op.h"

static inline double zs_bn_param(const zs_call *c, zs_role role, int i, double absent) {
    const void *p = c->param[role];
    if (!p) return absent;
    return c->k->dtype == ZS_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

/* Of a group, and the samples of each channel. */
static inline int zs_bn_blocks(const zs_call *c) { return (c->group_size + c->block_samples - 1) / c->block_samples; }

static inline size_t zs_bn_samples(const zs_call *c) {
    return (size_t)c->group_size * (size_t)c->node->shape.H * (size_t)c->node->shape.W;
}

/* Row `index` of C reals. */
static inline void *zs_bn_row(const zs_call *c, void *base, size_t index) {
    return (char *)base + index * (size_t)c->node->shape.C * zs_dtype_size(c->k->dtype);
}

#endif
