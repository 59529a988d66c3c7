/* Launches of the convolution kernels, shared by conv2d and linear (a 1x1 convolution). */
#ifndef ZS_OPS_CONV2D_H
#define ZS_OPS_CONV2D_H

#include "core/op.h"

size_t zs_conv2d_packed_bytes(const zs_call *c, bool back);
void zs_conv2d_pack(const zs_call *c, bool back);
size_t zs_conv2d_scratch_bytes(const zs_call *c);
void zs_conv2d_forward(const zs_call *c, const zs_block *b, void *scratch);
void zs_conv2d_backward(const zs_call *c, const zs_block *b, void *scratch);
bool zs_conv2d_fuses(const zs_call *c);
void zs_conv2d_backward_weights(const zs_call *c, const zs_block *b, void *dw, void *db, void *scratch);

#endif
