#include "core/dual.h"

#include <string.h>

#include "core/arena.h"
#include "core/op.h"

typedef struct maker {
    const zs_graph *from;
    zs_graph *to;
    zs_dual *dual;
    zs_node *nodes;
    int *inputs;
    double *coefs;
    zs_tensor *tensors;
    /* by original node: its copy, its tangent or -1 (zero throughout), the gate that ReLUs of it share or -1 */
    int *copy, *tangent, *gate;
    int *zeros; /* for one node's edges */
} maker;

static const int *inputs_of(const maker *m, int i) { return zs_node_inputs(m->from, i); }

/* A node that belongs to node `origin` of the original, like it but for what the caller changes. */
static zs_node *add_node(maker *m, int origin, zs_op_kind op, zs_shape shape) {
    const int id = m->to->n_nodes++;
    zs_node *n = &m->nodes[id];
    *n = m->from->nodes[origin];
    m->dual->origin[id] = origin;
    n->op = op;
    n->shape = shape;
    n->n_inputs = 0;
    n->first_input = m->to->n_inputs;
    n->feature = false;
    for (int r = 0; r < ZS_N_ROLES; r++) n->tensors[r] = -1;
    return n;
}

static void add_input(maker *m, zs_node *n, int input, double coef) {
    m->inputs[m->to->n_inputs] = input;
    m->coefs[m->to->n_inputs++] = coef;
    n->n_inputs++;
}

static int last(const maker *m) { return m->to->n_nodes - 1; }

static void copy_node(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    zs_node *c = add_node(m, i, n->op, n->shape);
    memcpy(c->tensors, n->tensors, sizeof c->tensors);
    c->feature = n->feature;
    for (int j = 0; j < n->n_inputs; j++)
        add_input(m, c, m->copy[inputs_of(m, i)[j]], m->from->coefs[n->first_input + j]);
    m->copy[i] = last(m);
}

/* conv(x_dot; w) + conv(x; w_dot), without biases */
static void add_layer_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int x = inputs_of(m, i)[0], w = n->tensors[ZS_ROLE_WEIGHT];
    const int from[2] = {m->tangent[x], m->dual->direction[w] >= 0 ? m->copy[x] : -1};
    const int weight[2] = {w, m->dual->direction[w]};
    int parts[2], n_parts = 0;
    for (int k = 0; k < 2; k++) {
        if (from[k] < 0) continue;
        zs_node *c = add_node(m, i, n->op, n->shape);
        c->attrs.bias = false;
        c->tensors[ZS_ROLE_WEIGHT] = weight[k];
        add_input(m, c, from[k], 1.0);
        parts[n_parts++] = last(m);
    }
    if (n_parts < 2) return;
    zs_node *sum = add_node(m, i, ZS_OP_ADD, n->shape);
    for (int k = 0; k < 2; k++) add_input(m, sum, parts[k], 1.0);
}

/* a_dot b + a b_dot */
static void add_product_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int *in = inputs_of(m, i);
    int parts[2], n_parts = 0;
    for (int k = 0; k < 2; k++) {
        if (m->tangent[in[k]] < 0) continue;
        zs_node *c = add_node(m, i, n->op, n->shape);
        for (int j = 0; j < 2; j++) add_input(m, c, j == k ? m->tangent[in[j]] : m->copy[in[j]], 1.0);
        parts[n_parts++] = last(m);
    }
    if (n_parts < 2) return;
    zs_node *sum = add_node(m, i, ZS_OP_ADD, n->shape);
    for (int k = 0; k < 2; k++) add_input(m, sum, parts[k], 1.0);
}

/* (x, x_dot), or x_dot alone where statistics do not depend on x. */
static void add_bn_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int x = inputs_of(m, i)[0];
    zs_node *t = add_node(m, i, ZS_OP_BATCH_NORM_TANGENT, n->shape);
    t->attrs.primal = m->copy[i];
    t->tensors[ZS_ROLE_GAMMA] = n->tensors[ZS_ROLE_GAMMA];
    if (n->attrs.bn_mode == ZS_BN_BATCH) add_input(m, t, m->copy[x], 1.0);
    add_input(m, t, m->tangent[x], 1.0);
}

static int add_gate(maker *m, int i, zs_op_kind op) {
    const int x = inputs_of(m, i)[0];
    zs_node *t = add_node(m, i, op, m->from->nodes[i].shape);
    add_input(m, t, m->copy[x], 1.0);
    add_input(m, t, m->tangent[x], 1.0);
    return last(m);
}

/* The same op on tangents: sums leave out what is zero, a concatenation fills it in. */
static void add_linear_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int *in = inputs_of(m, i);
    int *zeros = m->zeros;
    for (int j = 0; j < n->n_inputs; j++) {
        zeros[j] = m->tangent[in[j]];
        if (n->op != ZS_OP_CONCAT || zeros[j] >= 0) continue;
        zs_node *z = add_node(m, in[j], ZS_OP_ZERO, m->from->nodes[in[j]].shape);
        z->attrs.stride = 1;
        add_input(m, z, m->copy[in[j]], 1.0);
        zeros[j] = last(m);
    }
    zs_node *t = add_node(m, i, n->op, n->shape);
    t->tensors[ZS_ROLE_SCALE] = n->tensors[ZS_ROLE_SCALE];
    for (int j = 0; j < n->n_inputs; j++)
        if (zeros[j] >= 0) add_input(m, t, zeros[j], m->from->coefs[n->first_input + j]);
}

/* (y, x_dot) */
static void add_softmax_tangent(maker *m, int i) {
    zs_node *t = add_node(m, i, ZS_OP_SOFTMAX_TANGENT, m->from->nodes[i].shape);
    add_input(m, t, m->copy[i], 1.0);
    add_input(m, t, m->tangent[inputs_of(m, i)[0]], 1.0);
}

/* (x, x_dot), of a group norm or a layer norm */
static void add_norm_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int x = inputs_of(m, i)[0];
    zs_node *t = add_node(m, i, ZS_OP_NORM_TANGENT, n->shape);
    t->attrs.by_position = n->op == ZS_OP_LAYER_NORM;
    t->tensors[ZS_ROLE_GAMMA] = n->tensors[ZS_ROLE_GAMMA];
    add_input(m, t, m->copy[x], 1.0);
    add_input(m, t, m->tangent[x], 1.0);
}

static void add_tangent(maker *m, int i) {
    const zs_node *n = &m->from->nodes[i];
    const int w = n->tensors[ZS_ROLE_WEIGHT], x = n->n_inputs ? inputs_of(m, i)[0] : 0;
    bool any = w >= 0 && m->dual->direction[w] >= 0;
    for (int j = 0; j < n->n_inputs; j++) any = any || m->tangent[inputs_of(m, i)[j]] >= 0;
    m->tangent[i] = m->gate[i] = -1;
    if (!any) return;
    switch (n->op) {
    case ZS_OP_CONV2D:
    case ZS_OP_LINEAR:
    case ZS_OP_LINEAR_SPATIAL: add_layer_tangent(m, i); break;
    case ZS_OP_BATCH_NORM: add_bn_tangent(m, i); break;
    case ZS_OP_RELU:
        if (m->gate[x] < 0) m->gate[x] = add_gate(m, i, ZS_OP_RELU_GATE);
        m->tangent[i] = m->gate[x];
        return;
    case ZS_OP_MAX_POOL: add_gate(m, i, ZS_OP_MAX_POOL_GATE); break;
    case ZS_OP_SOFTMAX: add_softmax_tangent(m, i); break;
    case ZS_OP_GROUP_NORM:
    case ZS_OP_LAYER_NORM: add_norm_tangent(m, i); break;
    case ZS_OP_MULTIPLY:
    case ZS_OP_MATMUL: add_product_tangent(m, i); break;
    default:
        if (zs_is_activation(n->op))
            m->nodes[add_gate(m, i, ZS_OP_ACTIVATION_TANGENT)].attrs.of = n->op;
        else
            add_linear_tangent(m, i);
    }
    m->tangent[i] = last(m);
}

static void add_tensors(maker *m, const bool *moves) {
    const zs_graph *g = m->from;
    m->to->n_tensors = g->n_tensors;
    for (int t = 0; t < g->n_tensors; t++) {
        m->tensors[t] = g->tensors[t];
        m->dual->direction[t] = -1;
        if (!moves[t]) continue;
        zs_tensor *v = &m->tensors[m->to->n_tensors];
        *v = g->tensors[t];
        v->counted = false;
        m->dual->direction[t] = m->to->n_tensors++;
    }
}

static void add_nodes(maker *m) {
    const zs_graph *g = m->from;
    const int out = g->n_nodes - 1;
    for (int i = 0; i < g->n_nodes; i++) {
        copy_node(m, i);
        add_tangent(m, i);
    }
    for (int t = 0; t < m->to->n_tensors; t++) m->tensors[t].node = m->copy[m->tensors[t].node];
    if (m->tangent[out] < 0) return;
    zs_shape both = g->nodes[out].shape;
    both.C *= 2;
    zs_node *logits = add_node(m, out, ZS_OP_CONCAT, both);
    add_input(m, logits, m->copy[out], 1.0);
    add_input(m, logits, m->tangent[out], 1.0);
}

void zs_dual_free(zs_dual *dual) {
    zs_graph_free(dual->graph);
    zs_free(dual->origin);
    zs_free(dual->direction);
    *dual = (zs_dual){0};
}

zs_status zs_dual_make(const zs_graph *g, const bool *moves, zs_dual *dual, zs_error *err) {
    /* at the most four nodes with five edges for one, a zero for each of its edges, and the output */
    const size_t n = (size_t)g->n_nodes, e = (size_t)g->n_inputs;
    const size_t n_nodes = 4 * n + e + 1, n_inputs = 4 * n + 3 * e + 2, n_tensors = 2 * (size_t)g->n_tensors;
    maker m = {.from = g, .dual = dual};
    *dual = (zs_dual){.graph = m.to = zs_calloc(1, sizeof *m.to),
                      .origin = zs_alloc(n_nodes * sizeof *dual->origin),
                      .direction = zs_alloc((n_tensors + 1) * sizeof *dual->direction)};
    m.nodes = zs_calloc(n_nodes, sizeof *m.nodes);
    m.inputs = zs_alloc(n_inputs * sizeof *m.inputs);
    m.coefs = zs_alloc(n_inputs * sizeof *m.coefs);
    m.tensors = zs_alloc((n_tensors + 1) * sizeof *m.tensors);
    m.copy = zs_alloc((3 * n + e) * sizeof *m.copy);
    if (m.copy) {
        m.tangent = m.copy + n;
        m.gate = m.tangent + n;
        m.zeros = m.gate + n;
    }
    const bool ok = m.to && dual->origin && dual->direction && m.nodes && m.inputs && m.coefs && m.tensors && m.copy;
    if (m.to) {
        m.to->nodes = m.nodes;
        m.to->inputs = m.inputs;
        m.to->coefs = m.coefs;
        m.to->tensors = m.tensors;
    } else {
        zs_free(m.nodes);
        zs_free(m.inputs);
        zs_free(m.coefs);
        zs_free(m.tensors);
    }
    if (ok) {
        add_tensors(&m, moves);
        add_nodes(&m);
        if (m.tangent[g->n_nodes - 1] < 0) {
            zs_graph_free(dual->graph);
            dual->graph = NULL;
        }
    }
    zs_free(m.copy);
    if (!ok) zs_dual_free(dual);
    return ok ? ZS_OK : zs_fail(err, ZS_ENOMEM, "out of memory while building the graph");
}
