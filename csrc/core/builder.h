/* The only way to make a graph but a dual one (dual.h). Errors stick: after the first failure every call does nothing
   and returns -1, and finish reports the first failure with its node. Node ids are positive; 0 is the image.

       zs_builder *b = zs_builder_make((zs_shape){3, 32, 32}, &err);
       int y = zs_add_conv(b, "stem.conv", 0, 16, 3, 1);
       y = zs_add_bn(b, "stem.bn", y);
       ...
       zs_status st = zs_builder_finish(b, y, &graph, &err);    (frees the builder)                              */
#ifndef ZS_BUILDER_H
#define ZS_BUILDER_H

#include "core/graph.h"

typedef struct zs_builder zs_builder;

zs_builder *zs_builder_make(zs_shape input, zs_error *err); /* NULL: out of memory or bad shape */
void zs_builder_free(zs_builder *b);

zs_attrs zs_attrs_default(void); /* window 1x1, stride 1, groups 1, eps 1e-5, affine, batch mode, one head, scale 1 */

/* Adds a node; `name` is copied and must be unique, of letters, digits, '.', '_', '-'. `coefs` may be NULL (all 1). */
int zs_builder_add(zs_builder *b, zs_op_kind op, const char *name, int n_inputs, const int *inputs, const double *coefs,
                   const zs_attrs *attrs);

/* Shorthands: square windows, padding keeps the size at stride 1. */
int zs_add_conv(zs_builder *b, const char *name, int x, int K, int size, int stride);
int zs_add_bn(zs_builder *b, const char *name, int x);
int zs_add_simple(zs_builder *b, zs_op_kind op, const char *name, int x); /* relu, gap, identity, zero */
int zs_add_sum(zs_builder *b, const char *name, int n, const int *inputs);

/* Weights of nodes that are added from now on are drawn after those of lower turns, and among their own in the order of
   nodes. For networks whose release makes layers in another order than that in which they run. The first turn is 0. */
void zs_builder_set_turn(zs_builder *b, int turn);
void zs_builder_set_feature(zs_builder *b, int node);
void zs_builder_set_runs(zs_builder *b, int node); /* counts as run (count.h), whether anybody reads it or not */
zs_shape zs_builder_shape(const zs_builder *b, int node); /* {0,0,0} after an error */
bool zs_builder_ok(const zs_builder *b);
const zs_error *zs_builder_error(const zs_builder *b);

/* The last node is made the output (logits, H = W = 1). The builder is freed in any case. */
zs_status zs_builder_finish(zs_builder *b, int output, zs_graph **graph, zs_error *err);

#endif
