/* AZ-NAS (Lee and Ham, CVPR 2024): entropy of the principal components of each feature of one batch. With s the
   eigenvalues of the covariance of the channels over all places of all images (divisor their number), p = s / sum s:

       E_m = - sum p log(p + 1e-8)                                              NaN for a constant feature */
#ifndef ZS_ENTROPY_H
#define ZS_ENTROPY_H

#include "scores/features.h"

/* What both scores of entropies have in common. */
zs_needs zs_entropy_needs(const zs_score_run *run);
unsigned zs_entropy_watch(const zs_score_run *run, int node);
size_t zs_entropy_memory_bytes(const zs_score_run *run);
void zs_entropy_look(const zs_score_run *run, void *memory, const zs_look *look);

/* E_0 ... E_M once everything has been seen, or NULL: the run's status says what is missing. */
const double *zs_entropies(zs_score_run *run, void *memory, int *n);

#endif
