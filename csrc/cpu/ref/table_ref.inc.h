/* The complete table: every slot filled. */
#define SLOT(name) .name = ZS_REF(name)

const zs_kernels ZS_REF(zs_kernels) = {
    .name = "reference", .dtype = ZS_REF_DTYPE,
    SLOT(conv2d_packed_bytes), SLOT(conv2d_pack), SLOT(conv2d_scratch_bytes),
    SLOT(conv2d_algo), SLOT(conv2d_fwd), SLOT(conv2d_bwd_x), SLOT(conv2d_bwd_w),
    SLOT(bn_stats), SLOT(bn_fwd), SLOT(bn_bwd_sums), SLOT(bn_bwd_x), SLOT(cast),
    SLOT(relu_fwd), SLOT(relu_bwd), SLOT(max_pool_fwd), SLOT(max_pool_bwd), SLOT(avg_pool_fwd), SLOT(avg_pool_bwd),
    SLOT(gap_fwd), SLOT(gap_bwd), SLOT(sum_fwd), SLOT(scale), SLOT(fill_zero),
    SLOT(cross_entropy), SLOT(sum_logits),
    SLOT(join), SLOT(moments), SLOT(signs), SLOT(histogram), SLOT(exponents), SLOT(count_nonfinite), SLOT(count_nonzero),
    SLOT(load_images), SLOT(load_weight), SLOT(store_weight), SLOT(store_vector),
};
