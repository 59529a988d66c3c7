/* What group norm and layer norm have in common: norms of single samples, so without sums over a group of samples. */
#ifndef ZS_OPS_SAMPLE_NORM_H
#define ZS_OPS_SAMPLE_NORM_H

#include "core/op.h"

zs_status zs_sample_norm_check(const zs_attrs *a, zs_error *err);
int zs_sample_norm_declare(const zs_attrs *a, const zs_shape *in, zs_tensor_decl *decls);
size_t zs_sample_norm_scratch_bytes(const zs_call *c);
void zs_sample_norm_forward(const zs_call *c, const zs_block *b, void *scratch);
void zs_sample_norm_backward(const zs_call *c, const zs_block *b, void *scratch);
void zs_sample_norm_backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch);

zs_norm zs_sample_norm_dims(const zs_call *c, bool by_position);

#endif
