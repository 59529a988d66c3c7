/* The table of one ISA and dtype: the reference table with what is better here written over it. */
#include "cpu/simd/simd.inc.h"

#include "cpu/simd/exp_simd.inc.h"

#include "cpu/simd/conv2d_simd.inc.h"

#include "cpu/simd/conv2d_weights_simd.inc.h"
#include "cpu/simd/winograd_tiles_simd.inc.h"

#include "cpu/simd/winograd_simd.inc.h"

#include "cpu/simd/conv2d_algo.inc.h"

#include "cpu/simd/activation_simd.inc.h"
#include "cpu/simd/multiply_simd.inc.h"
#include "cpu/simd/norm_simd.inc.h"
#include "cpu/simd/sum_simd.inc.h"

#include "cpu/simd/pool_simd.inc.h"
#include "cpu/simd/stats_simd.inc.h"

#include "cpu/simd/token_simd.inc.h"

#include "cpu/simd/sample_norm_simd.inc.h"

#include "cpu/dispatch.h"

void ZS_ISA(zs_kernels_fill)(zs_kernels *t);

#define SLOT(slot) t->slot = ZS_ISA(slot)

void ZS_ISA(zs_kernels_fill)(zs_kernels *t) {
    SLOT(conv2d_packed_bytes), SLOT(conv2d_pack), SLOT(conv2d_scratch_bytes);
    SLOT(conv2d_algo), SLOT(conv2d_fwd), SLOT(conv2d_bwd_x), SLOT(conv2d_bwd_w), SLOT(conv2d_bwd);
    SLOT(bn_stats), SLOT(bn_fwd), SLOT(bn_bwd_sums), SLOT(bn_bwd_x), SLOT(relu_fwd), SLOT(relu_bwd);
    SLOT(max_pool_fwd), SLOT(max_pool_bwd), SLOT(avg_pool_fwd), SLOT(avg_pool_bwd), SLOT(gap_fwd), SLOT(gap_bwd);
    SLOT(activation_fwd), SLOT(activation_bwd), SLOT(activation_bwd2), SLOT(multiply), SLOT(multiply_sums);
    SLOT(sum_fwd), SLOT(scale), SLOT(fill_zero);
    SLOT(join), SLOT(moments), SLOT(signs), SLOT(histogram), SLOT(positive_bits), SLOT(product_sums), SLOT(hamming),
        SLOT(dot);
    SLOT(count_nonfinite), SLOT(count_nonzero);
    SLOT(matmul_scratch_bytes), SLOT(matmul), SLOT(spatial_bias_fwd), SLOT(spatial_bias_bwd), SLOT(scale_channels);
    SLOT(softmax_fwd), SLOT(softmax_bwd), SLOT(softmax_curve);
    SLOT(norm_fwd), SLOT(norm_project), SLOT(norm_bwd_params), SLOT(norm_curve);
    SLOT(load_images), SLOT(load_weight), SLOT(store_weight);
}
