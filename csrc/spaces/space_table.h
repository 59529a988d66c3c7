/* THE list of search spaces, one line each. To add one: a line here, csrc/spaces/<name>.c, which defines
   `const zs_space zs_space_<name>`, and zeroshot/spaces/<name>.py. */
#ifndef ZS_SPACE_TABLE_H
#define ZS_SPACE_TABLE_H

#define ZS_SPACE_TABLE(SPACE) \
    SPACE(nasbench201)          \
    SPACE(nats_sss)             \
    SPACE(nasbench101)          \
    SPACE(darts)                \
    SPACE(nasbench301)          \
    SPACE(nds_darts)            \
    SPACE(nds_enas)             \
    SPACE(nds_pnas)             \
    SPACE(nds_nasnet)           \
    SPACE(nds_amoeba)           \
    SPACE(proxylessnas)         \
    SPACE(mbconv)               \
    SPACE(burgerformer)         \
    SPACE(transnas_micro)       \
    SPACE(super_nasbench201)    \
    SPACE(super_darts)

#endif
