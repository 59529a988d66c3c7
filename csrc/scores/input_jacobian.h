/* The gradient of the sum of all logits of a batch by its images, one row an image, and the correlation of these rows.
   Batch norm mixes images, and that stays in. For scores of one group with the loss sum_logits; the factor 1 / images
   of that loss is in the rows, and drops out of correlations. */
#ifndef ZS_INPUT_JACOBIAN_H
#define ZS_INPUT_JACOBIAN_H

#include "scores/correlation.h"
#include "scores/score.h"

/* Members of a score that are the same for all of them. */
zs_needs zs_jacobian_needs(const zs_score_run *run);
unsigned zs_jacobian_watch(const zs_score_run *run, int node);
size_t zs_jacobian_bytes(const zs_score_run *run);
void zs_jacobian_look(const zs_score_run *run, void *memory, const zs_look *look);

/* The correlation matrix of the n images' rows, in `memory`. Behind it lie n doubles and the scratch for its
   eigenvalues. */
zs_rows_are zs_jacobian_correlate(const zs_score_run *run, void *memory, double **corr);

#endif
