#include "core/builder.h"

#include <string.h>

#include "core/arena.h"
#include "core/op.h"

struct zs_builder {
    zs_error err;
    zs_node *nodes;
    int *inputs;
    double *coefs;
    zs_tensor *tensors;
    int *turns;      /* of tensors */
    int turn;        /* of those to come */
    int *name_slots; /* open addressing over node names: node + 1, 0 = free */
    int n_nodes, n_inputs, n_tensors;
    int cap_nodes, cap_inputs, cap_coefs, cap_tensors, cap_turns, cap_slots;
};

static uint64_t hash_name(const char *s) { /* FNV-1a */
    uint64_t h = 1469598103934665603u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

/* The block with room for n more items, or NULL: the old one stays valid then. */
static void *grown(zs_builder *b, void *block, int *capacity, int used, int n, size_t size) {
    if (block && used + n <= *capacity) return block;
    const int wanted = (used + n) * 2 < 16 ? 16 : (used + n) * 2;
    void *p = zs_realloc(block, (size_t)wanted * size);
    if (p)
        *capacity = wanted;
    else
        zs_fail(&b->err, ZS_ENOMEM, "out of memory while building the graph");
    return p;
}

static bool insert_name(zs_builder *b, const char *name, int node) {
    if (2 * (b->n_nodes + 1) > b->cap_slots) {
        const int capacity = b->cap_slots ? 2 * b->cap_slots : 64;
        int *slots = zs_calloc((size_t)capacity, sizeof *slots);
        if (!slots) {
            zs_fail(&b->err, ZS_ENOMEM, "out of memory while building the graph");
            return false;
        }
        for (int i = 0; i < b->n_nodes; i++) {
            size_t at = hash_name(b->nodes[i].name) % (size_t)capacity;
            while (slots[at]) at = (at + 1) % (size_t)capacity;
            slots[at] = i + 1;
        }
        zs_free(b->name_slots);
        b->name_slots = slots;
        b->cap_slots = capacity;
    }
    size_t at = hash_name(name) % (size_t)b->cap_slots;
    for (; b->name_slots[at]; at = (at + 1) % (size_t)b->cap_slots)
        if (strcmp(b->nodes[b->name_slots[at] - 1].name, name) == 0) {
            zs_fail(&b->err, ZS_EINVAL, "name: '%s' is used twice; every node needs its own name", name);
            return false;
        }
    b->name_slots[at] = node + 1;
    return true;
}

zs_attrs zs_attrs_default(void) {
    return (zs_attrs){
        .groups = 1,
        .eps = 1e-5,
        .affine = true,
        .stride = 1,
        .heads = 1,
        .scale = 1.0,
        .initial = 1.0,
        .window = {.R = 1, .S = 1, .stride_h = 1, .stride_w = 1, .dil_h = 1, .dil_w = 1},
    };
}

static bool size_ok(zs_shape s) {
    return s.C >= 1 && s.H >= 1 && s.W >= 1 && s.C <= ZS_MAX_DIM && s.H <= ZS_MAX_DIM && s.W <= ZS_MAX_DIM;
}

zs_builder *zs_builder_make(zs_shape input, zs_error *err) {
    zs_builder *b = zs_calloc(1, sizeof *b);
    if (!b) {
        zs_fail(err, ZS_ENOMEM, "out of memory while building the graph");
        return NULL;
    }
    zs_error_clear(&b->err);
    if (!size_ok(input)) {
        zs_fail(err, ZS_EINVAL, "input: expected sizes from 1 to %d, got C=%d, H=%d, W=%d", ZS_MAX_DIM, input.C,
                input.H, input.W);
        goto fail;
    }
    b->nodes = grown(b, NULL, &b->cap_nodes, 0, 1, sizeof *b->nodes);
    if (!b->nodes || !insert_name(b, "input", 0)) {
        *err = b->err;
        goto fail;
    }
    b->nodes[0] = (zs_node){.op = ZS_OP_INPUT, .name = "input", .attrs = zs_attrs_default(), .shape = input};
    for (int r = 0; r < ZS_N_ROLES; r++) b->nodes[0].tensors[r] = -1;
    b->n_nodes = 1;
    return b;
fail:
    zs_builder_free(b);
    return NULL;
}

void zs_builder_free(zs_builder *b) {
    if (!b) return;
    zs_free(b->nodes);
    zs_free(b->inputs);
    zs_free(b->coefs);
    zs_free(b->tensors);
    zs_free(b->turns);
    zs_free(b->name_slots);
    zs_free(b);
}

static bool name_ok(const char *name) {
    const size_t n = strlen(name);
    if (n == 0 || n >= ZS_NAME_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        const char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return true;
}

/* Elements of a tensor and of an activation must fit: everything later multiplies these by small numbers only. */
static zs_status declare_tensors(zs_builder *b, zs_node *node, int id, const zs_op *op, const zs_shape *in) {
    for (int r = 0; r < ZS_N_ROLES; r++) node->tensors[r] = -1;
    if (!op->declare) return ZS_OK;
    zs_tensor_decl decls[ZS_N_ROLES];
    const int n = op->declare(&node->attrs, in, decls);
    void *tensors = grown(b, b->tensors, &b->cap_tensors, b->n_tensors, n, sizeof *b->tensors);
    if (!tensors) return ZS_ENOMEM;
    b->tensors = tensors;
    void *turns = grown(b, b->turns, &b->cap_turns, b->n_tensors, n, sizeof *b->turns);
    if (!turns) return ZS_ENOMEM;
    b->turns = turns;
    for (int i = 0; i < n; i++) {
        const zs_tensor_decl *d = &decls[i];
        size_t size;
        if (!zs_mul_ok((size_t)d->O, (size_t)d->I, &size) || !zs_mul_ok(size, (size_t)d->R * (size_t)d->S, &size) ||
            size > (size_t)1 << 40)
            return zs_fail(&b->err, ZS_EINVAL, "a %s of %d x %d x %d x %d elements is too large", zs_role_name(d->role),
                           d->O, d->I, d->R, d->S);
        zs_tensor *t = &b->tensors[b->n_tensors + i];
        *t = (zs_tensor){.node = id,
                         .role = d->role,
                         .ndim = d->ndim,
                         .O = d->O,
                         .I = d->I,
                         .R = d->R,
                         .S = d->S,
                         .groups = node->attrs.groups,
                         .size = size,
                         .counted = d->counted,
                         .initial = node->attrs.initial};
        memcpy(t->name, node->name, strlen(node->name) + 1);
        strcat(t->name, ".");
        strcat(t->name, zs_role_name(d->role));
        node->tensors[d->role] = b->n_tensors + i;
        b->turns[b->n_tensors + i] = b->turn;
    }
    b->n_tensors += n;
    return ZS_OK;
}

int zs_builder_add(zs_builder *b, zs_op_kind kind, const char *name, int n_inputs, const int *inputs,
                   const double *coefs, const zs_attrs *attrs) {
    if (!zs_builder_ok(b)) return -1;
    const int id = b->n_nodes;
    zs_error local;
    zs_error_clear(&local);
    if (kind <= ZS_OP_INPUT || kind >= ZS_N_PUBLIC_OP_KINDS) {
        zs_fail(&b->err, ZS_EINVAL, "op: unknown kind %d", (int)kind);
        return -1;
    }
    if (!name_ok(name)) {
        zs_fail(&b->err, ZS_EINVAL, "name: expected 1 to %d letters, digits, '.', '_' or '-', got '%.40s'",
                ZS_NAME_MAX - 1, name);
        return -1;
    }
    if (id >= ZS_MAX_NODES) {
        zs_fail(&b->err, ZS_EINVAL, "node '%s': more than %d nodes", name, ZS_MAX_NODES);
        return -1;
    }
    const int arity = zs_op_arity(kind);
    if (arity == ZS_ANY ? n_inputs < 1 : n_inputs != arity) {
        const char *const inputs_taken = arity == ZS_ANY ? "at least one input"
                                         : arity == 2    ? "two inputs"
                                                         : "one input only";
        zs_fail(&b->err, ZS_EINVAL, "node '%s': %s takes %s, got %d", name, zs_op_name(kind), inputs_taken, n_inputs);
        return -1;
    }
    zs_shape first = {0, 0, 0};
    zs_shape *shapes = zs_alloc((size_t)n_inputs * sizeof *shapes);
    if (!shapes) {
        zs_fail(&b->err, ZS_ENOMEM, "out of memory while building the graph");
        return -1;
    }
    for (int i = 0; i < n_inputs; i++) {
        if (inputs[i] < 0 || inputs[i] >= id) {
            zs_fail(&b->err, ZS_EINVAL, "node '%s': input %d is node %d, expected one of the %d nodes made before",
                    name, i, inputs[i], id);
            goto fail;
        }
        shapes[i] = b->nodes[inputs[i]].shape;
    }
    first = shapes[0];
    const zs_op *op = zs_op_get(kind);
    zs_node node = {
        .op = kind, .n_inputs = n_inputs, .first_input = b->n_inputs, .attrs = attrs ? *attrs : zs_attrs_default()};
    memcpy(node.name, name, strlen(name) + 1);
    const int n_whole = kind == ZS_OP_MULTIPLY ? 1 : n_inputs; /* a factor by channel leaves maps what they are */
    for (int i = 0; i < n_whole; i++) node.flat = node.flat || b->nodes[inputs[i]].flat;
    if (op->infer(&node.attrs, n_inputs, shapes, &node.shape, &local) != ZS_OK) {
        zs_fail(&b->err, local.status, "node '%s' (%s): %s", name, zs_op_name(kind), local.text);
        goto fail;
    }
    const bool is_pixel = node.shape.H == 1 && node.shape.W == 1;
    node.flat =
        node.flat || kind == ZS_OP_GLOBAL_AVG_POOL || kind == ZS_OP_FLATTEN || (kind == ZS_OP_LINEAR && is_pixel);
    if (!size_ok(node.shape) ||
        (size_t)node.shape.H * (size_t)node.shape.W > ((size_t)1 << 40) / (size_t)node.shape.C) {
        zs_fail(&b->err, ZS_EINVAL, "node '%s' (%s): output of C=%d, H=%d, W=%d is too large", name, zs_op_name(kind),
                node.shape.C, node.shape.H, node.shape.W);
        goto fail;
    }
    const int n_tensors = b->n_tensors;
    void *block = grown(b, b->nodes, &b->cap_nodes, id, 1, sizeof *b->nodes);
    if (!block) goto fail;
    b->nodes = block;
    block = grown(b, b->coefs, &b->cap_coefs, b->n_inputs, n_inputs, sizeof *b->coefs);
    if (!block) goto fail;
    b->coefs = block;
    block = grown(b, b->inputs, &b->cap_inputs, b->n_inputs, n_inputs, sizeof *b->inputs);
    if (!block) goto fail;
    b->inputs = block;
    if (declare_tensors(b, &node, id, op, &first) != ZS_OK || !insert_name(b, name, id)) {
        b->n_tensors = n_tensors;
        goto fail;
    }
    for (int i = 0; i < n_inputs; i++) {
        b->inputs[b->n_inputs + i] = inputs[i];
        b->coefs[b->n_inputs + i] = coefs ? coefs[i] : 1.0;
    }
    b->n_inputs += n_inputs;
    b->nodes[id] = node;
    b->n_nodes++;
    zs_free(shapes);
    return id;
fail:
    zs_free(shapes);
    return -1;
}

int zs_add_conv(zs_builder *b, const char *name, int x, int K, int size, int stride) {
    zs_attrs a = zs_attrs_default();
    a.K = K;
    a.window = (zs_window){size, size, stride, stride, size / 2, size / 2, 1, 1};
    return zs_builder_add(b, ZS_OP_CONV2D, name, 1, &x, NULL, &a);
}

int zs_add_bn(zs_builder *b, const char *name, int x) {
    return zs_builder_add(b, ZS_OP_BATCH_NORM, name, 1, &x, NULL, NULL);
}

int zs_add_simple(zs_builder *b, zs_op_kind op, const char *name, int x) {
    return zs_builder_add(b, op, name, 1, &x, NULL, NULL);
}

int zs_add_sum(zs_builder *b, const char *name, int n, const int *inputs) {
    return zs_builder_add(b, ZS_OP_ADD, name, n, inputs, NULL, NULL);
}

void zs_builder_set_turn(zs_builder *b, int turn) { b->turn = turn; }

/* Stable, and quick where turns rise nearly always: what is late moves up past the few that came too early. */
static void sort_by_turn(zs_builder *b) {
    for (int i = 1; i < b->n_tensors; i++) {
        const zs_tensor tensor = b->tensors[i];
        const int turn = b->turns[i];
        int k = i;
        for (; k > 0 && b->turns[k - 1] > turn; k--) {
            b->tensors[k] = b->tensors[k - 1];
            b->turns[k] = b->turns[k - 1];
        }
        b->tensors[k] = tensor;
        b->turns[k] = turn;
    }
    for (int i = 0; i < b->n_tensors; i++) b->nodes[b->tensors[i].node].tensors[b->tensors[i].role] = i;
}

void zs_builder_set_feature(zs_builder *b, int node) {
    if (zs_builder_ok(b) && node >= 0 && node < b->n_nodes) b->nodes[node].feature = true;
}

void zs_builder_set_runs(zs_builder *b, int node) {
    if (zs_builder_ok(b) && node >= 0 && node < b->n_nodes) b->nodes[node].runs = true;
}

zs_shape zs_builder_shape(const zs_builder *b, int node) {
    if (!zs_builder_ok(b) || node < 0 || node >= b->n_nodes) return (zs_shape){0, 0, 0};
    return b->nodes[node].shape;
}

bool zs_builder_ok(const zs_builder *b) { return b->err.status == ZS_OK; }
const zs_error *zs_builder_error(const zs_builder *b) { return &b->err; }

zs_status zs_builder_finish(zs_builder *b, int output, zs_graph **graph, zs_error *err) {
    *graph = NULL;
    zs_graph *g = NULL;
    if (!zs_builder_ok(b)) {
        zs_fail(err, b->err.status, "%s", b->err.text);
        goto done;
    }
    if (output != b->n_nodes - 1) {
        zs_fail(err, ZS_EINVAL, "output: expected the last node (%d), got %d", b->n_nodes - 1, output);
        goto done;
    }
    const zs_shape s = b->nodes[output].shape;
    if (output == 0 || s.H != 1 || s.W != 1) {
        zs_fail(err, ZS_EINVAL, "output: expected logits of shape (K, 1, 1), got (%d, %d, %d) from node '%s'", s.C, s.H,
                s.W, b->nodes[output].name);
        goto done;
    }
    sort_by_turn(b);
    b->nodes[output].reached = true;
    for (int i = output; i > 0; i--)
        for (int j = 0; b->nodes[i].reached && j < b->nodes[i].n_inputs; j++)
            b->nodes[b->inputs[b->nodes[i].first_input + j]].reached = true;
    g = zs_calloc(1, sizeof *g);
    if (!g) {
        zs_fail(err, ZS_ENOMEM, "out of memory while building the graph");
        goto done;
    }
    *g = (zs_graph){.n_nodes = b->n_nodes,
                    .n_inputs = b->n_inputs,
                    .n_tensors = b->n_tensors,
                    .nodes = b->nodes,
                    .inputs = b->inputs,
                    .coefs = b->coefs,
                    .tensors = b->tensors};
    b->nodes = NULL;
    b->inputs = NULL;
    b->coefs = NULL;
    b->tensors = NULL;
    *graph = g;
done:
    zs_builder_free(b);
    return err->status;
}
