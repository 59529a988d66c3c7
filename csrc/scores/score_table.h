/* THE list of scores, one line each. */
#define ZS_SCORE_TABLE(SCORE) \
    SCORE(xi_gsnr)            \
    SCORE(gradsign)           \
    SCORE(sweet)              \
    SCORE(snip)               \
    SCORE(naswot)             \
    SCORE(az_expressivity)    \
    SCORE(az_progressivity)   \
    SCORE(az_trainability)    \
    SCORE(plain)              \
    SCORE(grad_norm)          \
    SCORE(l2_norm)            \
    SCORE(zico)               \
    SCORE(knas)               \
    SCORE(fisher)             \
    SCORE(synflow)            \
    SCORE(syncflow)           \
    SCORE(flops)              \
    SCORE(params)             \
    SCORE(live_weights)       \
    SCORE(jacob_cov)          \
    SCORE(epe_nas)            \
    SCORE(linear_regions)     \
    SCORE(swap)               \
    SCORE(zen)                \
    SCORE(meco)               \
    SCORE(ntk_condition)      \
    SCORE(grasp)              \
    SCORE(activations)
