#include "core/graph.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/op.h"

static const zs_op *const OPS[ZS_N_OP_KINDS] = {
#define ZS_OP_ENTRY(NAME, file, inputs) [ZS_OP_##NAME] = &zs_op_##file,
    ZS_ALL_OP_TABLE(ZS_OP_ENTRY)
#undef ZS_OP_ENTRY
};

const zs_op *zs_op_get(zs_op_kind kind) {
    ZS_ASSERT(kind > ZS_OP_INPUT && kind < ZS_N_OP_KINDS);
    return OPS[kind];
}

zs_layer_tensors zs_layer_tensors_of(const zs_node *n) {
    if (n->op == ZS_OP_INPUT || !OPS[n->op]->backward_weights) return (zs_layer_tensors){-1, -1};
    static const zs_role PAIRS[][2] = {{ZS_ROLE_WEIGHT, ZS_ROLE_BIAS}, {ZS_ROLE_GAMMA, ZS_ROLE_BETA}};
    for (int i = 0; i < 2; i++)
        if (n->tensors[PAIRS[i][0]] >= 0) return (zs_layer_tensors){n->tensors[PAIRS[i][0]], n->tensors[PAIRS[i][1]]};
    return (zs_layer_tensors){n->tensors[ZS_ROLE_SCALE], -1};
}

int64_t zs_weight_uses(const zs_node *n) {
    return n->op == ZS_OP_LINEAR_SPATIAL ? n->shape.C : (int64_t)n->shape.H * n->shape.W;
}

static const char *const OP_NAMES[ZS_N_OP_KINDS] = {"input",
#define ZS_OP_NAME(NAME, file, inputs) #file,
                                                    ZS_ALL_OP_TABLE(ZS_OP_NAME)
#undef ZS_OP_NAME
};

static const int OP_ARITY[ZS_N_OP_KINDS] = {0,
#define ZS_OP_ARITY(NAME, file, inputs) inputs,
                                            ZS_ALL_OP_TABLE(ZS_OP_ARITY)
#undef ZS_OP_ARITY
};

static const char *const ROLE_NAMES[ZS_N_ROLES] = {"weight", "bias",         "gamma",      "scale",
                                                   "beta",   "running_mean", "running_var"};
static const char *const BN_MODE_NAMES[ZS_N_BN_MODES] = {"batch", "running", "identity"};

static int find_name(const char *const *names, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

const char *zs_op_name(zs_op_kind op) { return OP_NAMES[op]; }
int zs_op_by_name(const char *name) { return find_name(OP_NAMES, ZS_N_PUBLIC_OP_KINDS, name); }
int zs_op_arity(zs_op_kind op) { return OP_ARITY[op]; }
const char *zs_role_name(zs_role role) { return ROLE_NAMES[role]; }
const char *zs_bn_mode_name(zs_bn_mode mode) { return BN_MODE_NAMES[mode]; }
int zs_bn_mode_by_name(const char *name) { return find_name(BN_MODE_NAMES, ZS_N_BN_MODES, name); }

void zs_graph_free(zs_graph *graph) {
    if (!graph) return;
    zs_free((void *)graph->nodes);
    zs_free((void *)graph->inputs);
    zs_free((void *)graph->coefs);
    zs_free((void *)graph->tensors);
    zs_free(graph);
}
