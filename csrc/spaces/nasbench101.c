/* NAS-Bench-101 (Ying et al., ICML 2019).

   A module is a graph on at most 7 vertices with at most 9 edges, each from a lower to a higher vertex; 0 is the input,
   the last one the output, and each of the others has one of three operations:

       adj=0101/0010/0001/0000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,output

   adj: the rows of the matrix; row x, column y is 1 where x feeds y. Vertices that are on no path from input to output
   are removed first, as in the benchmark; the limits hold for what is left. Modules of more edges, which the benchmark
   does not have but papers' code builds, say how many: edges=12;adj=...

   genes: vertices; operations of vertices 1 .. 5 (0 where there is none); 21 edges, (x, y) at x + y(y-1)/2.

       stem 3x3, BN, ReLU | N modules at C | max pool 2x2, stride 2 | N at 2C | max pool | N at 4C | global pool, linear

   (C = 128, N = 3 in the benchmark; C = 16 in NASWOT's and xi-GSNR's code, our default.) In a module every edge from
   the input is a projection, 1x1 to the channels of the vertex that it feeds, with BN and ReLU. The k vertices that
   feed the output share its channels, earlier ones get one of the remainder each; any other has as many as the widest
   vertex that it feeds. A vertex adds up what it reads, of wider ones the first channels. The output is the
   concatenation of those k, plus the input's projection if the input feeds it. */
#include "spaces/nasbench101.h"

#include <stdio.h>
#include <string.h>

#include "spaces/blocks.h"

enum { INNER = ZS_NB101_VERTICES - 2, N_GENES = 1 + INNER + ZS_NB101_BITS, N_STACKS = 3 };

static const char *const OPS[ZS_NB101_OPS] = {"conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"};
static const char ONE_OP[] = "an operation (conv3x3-bn-relu, conv1x1-bn-relu or maxpool3x3)";

static zs_nb101_module module_of(const int *genes) {
    zs_nb101_module m = {.n = genes[0]};
    for (int i = 0; i < INNER; i++) m.op[i + 1] = genes[1 + i];
    for (int i = 0; i < ZS_NB101_BITS; i++) m.edges |= (uint32_t)genes[1 + INNER + i] << i;
    return m;
}

static void genes_of(const zs_nb101_module *m, int *genes) {
    genes[0] = m->n;
    for (int i = 0; i < INNER; i++) genes[1 + i] = i + 1 < m->n - 1 ? m->op[i + 1] : 0;
    for (int i = 0; i < ZS_NB101_BITS; i++) genes[1 + INNER + i] = (int)(m->edges >> i & 1);
}

void zs_nasbench101_canonical(const int *genes, bool keep_order, int *out) {
    const zs_nb101_module m = module_of(genes);
    zs_nb101_module least;
    zs_nb101_canonical(&m, keep_order, &least);
    genes_of(&least, out);
}

/* --- text -------------------------------------------------------------------------------------------------------- */

typedef struct matrix { /* as it is written, before pruning */
    int n;
    uint32_t out[ZS_NB101_READ];
    int op[ZS_NB101_READ];
} matrix;

static bool read_row(zs_reader *r, matrix *m, int x) {
    char expected[80];
    for (int y = 0; y < m->n; y++) {
        snprintf(expected, sizeof expected, "0 or 1 in row %d of a matrix of %d columns", x, m->n);
        const size_t at = r->at;
        const int digit = zs_read_digit(r, 2, expected);
        if (digit < 0) return false;
        if (digit == 1 && y <= x) {
            snprintf(expected, sizeof expected, "0 on and below the diagonal (row %d, column %d)", x, y);
            return zs_read_fail(r, at, expected) == ZS_OK;
        }
        m->out[x] |= (uint32_t)digit << y;
    }
    return true;
}

static bool read_matrix(zs_reader *r, matrix *m) {
    while (r->at + (size_t)m->n < r->len &&
           (r->text[r->at + (size_t)m->n] == '0' || r->text[r->at + (size_t)m->n] == '1')) {
        if (m->n == ZS_NB101_READ) return zs_read_fail(r, r->at, "a matrix of at most 32 columns") == ZS_OK;
        m->n++;
    }
    if (m->n < 2) return zs_read_fail(r, r->at + (size_t)m->n, "0 or 1, at least two in a row") == ZS_OK;
    char expected[80];
    for (int x = 0; x < m->n; x++) {
        snprintf(expected, sizeof expected, "'/' and row %d of %d", x, m->n);
        if (x > 0 && !zs_read_char(r, '/', expected)) return false;
        if (!read_row(r, m, x)) return false;
    }
    return true;
}

static bool read_ops(zs_reader *r, matrix *m) {
    static const char *const WORDS[ZS_NB101_OPS] = {"conv3x3", "conv1x1", "maxpool3x3"};
    static const char *const INPUT = "input", *const OUTPUT = "output";
    char expected[96];
    for (int x = 0; x < m->n; x++) {
        snprintf(expected, sizeof expected, "',' and the operation of vertex %d of %d", x, m->n);
        if (x > 0 && !zs_read_char(r, ',', expected)) return false;
        if (x == 0 || x == m->n - 1) {
            snprintf(expected, sizeof expected, "'%s' as vertex %d of %d", x ? OUTPUT : INPUT, x, m->n);
            if (zs_read_word(r, 1, x ? &OUTPUT : &INPUT, expected) < 0) return false;
            continue;
        }
        m->op[x] = zs_read_word(r, ZS_NB101_OPS, WORDS, ONE_OP);
        if (m->op[x] < 0) return false;
        if (m->op[x] != ZS_NB101_MAX_POOL && !zs_read_literal(r, "-bn-relu", "'-bn-relu' after a convolution"))
            return false;
    }
    return true;
}

/* Vertices on paths keep their order. `at`: where the matrix begins in the text; `stated`: how many edges the text says
   that there are, 0 if it does not say. */
static zs_status prune(const matrix *m, int stated, size_t at, int *genes, zs_error *err) {
    const uint32_t kept = zs_nb101_on_paths(m->n, m->out);
    if (!(kept & 1)) return zs_fail_at(err, (long)at, "expected a path from vertex 0 to vertex %d, got none", m->n - 1);
    const int n = __builtin_popcount(kept);
    if (n > ZS_NB101_VERTICES)
        return zs_fail_at(err, (long)at, "expected at most %d vertices on paths from input to output, got %d",
                          ZS_NB101_VERTICES, n);
    zs_nb101_module pruned = {.n = n};
    for (int y = 0, to = 0; y < m->n; y++) {
        if (!(kept >> y & 1)) continue;
        pruned.op[to] = m->op[y];
        for (int x = 0, from = 0; x < y; x++) {
            if (!(kept >> x & 1)) continue;
            if (m->out[x] >> y & 1) pruned.edges |= 1u << zs_nb101_bit(from, to);
            from++;
        }
        to++;
    }
    const int n_edges = __builtin_popcount(pruned.edges);
    if (stated > 0 && n_edges != stated)
        return zs_fail_at(err, (long)at, "expected %d edges on paths from input to output, as stated, got %d", stated,
                          n_edges);
    if (stated == 0 && n_edges > ZS_NB101_EDGES)
        return zs_fail_at(err, (long)at,
                          "expected at most %d edges on paths from input to output, got %d; "
                          "edges=%d; before adj= takes the module all the same",
                          ZS_NB101_EDGES, n_edges, n_edges);
    genes_of(&pruned, genes);
    return ZS_OK;
}

static zs_status nasbench101_parse(const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    matrix m = {0};
    int stated = 0;
    if (zs_read_if(&r, "edges=")) {
        stated = zs_read_number(&r, ZS_NB101_EDGES + 1, ZS_NB101_BITS, "more than 9 edges, at most 21");
        if (stated < 0 || !zs_read_char(&r, ';', "';' after the number of edges")) return err->status;
    }
    if (!zs_read_literal(&r, "adj=", "'adj=' and the rows of a matrix")) return err->status;
    const size_t at = r.at;
    if (!read_matrix(&r, &m)) return err->status;
    char expected[64];
    snprintf(expected, sizeof expected, "';ops=' after %d rows", m.n);
    if (!zs_read_literal(&r, ";ops=", expected) || !read_ops(&r, &m) || !zs_read_end(&r)) return err->status;
    return prune(&m, stated, at, genes, err);
}

static zs_status nasbench101_check(const int *genes, zs_error *err) {
    const int n = genes[0];
    if (n < 2 || n > ZS_NB101_VERTICES)
        return zs_fail(err, ZS_EARCH, "vertices: expected 2 to %d, got %d", ZS_NB101_VERTICES, n);
    for (int i = 0; i < INNER; i++) {
        const int most = i < n - 2 ? ZS_NB101_OPS - 1 : 0;
        if (genes[1 + i] < 0 || genes[1 + i] > most)
            return zs_fail(err, ZS_EARCH, "operation of vertex %d of %d: expected 0 to %d, got %d", i + 1, n, most,
                           genes[1 + i]);
    }
    for (int i = 0; i < ZS_NB101_BITS; i++) {
        const int most = i < n * (n - 1) / 2 ? 1 : 0, gene = genes[1 + INNER + i];
        if (gene < 0 || gene > most)
            return zs_fail(err, ZS_EARCH, "edge %d of %d vertices: expected 0 to %d, got %d", i, n, most, gene);
    }
    const zs_nb101_module m = module_of(genes);
    if (!zs_nb101_is_full(n, m.edges))
        return zs_fail(err, ZS_EARCH, "edges: expected every vertex on a path from input to output");
    return ZS_OK;
}

static void nasbench101_format(const int *genes, char *out) {
    const zs_nb101_module m = module_of(genes);
    const int n_edges = __builtin_popcount(m.edges);
    size_t at = 0;
    if (n_edges > ZS_NB101_EDGES) at = (size_t)snprintf(out, ZS_MAX_ARCH_TEXT, "edges=%d;", n_edges);
    at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, "adj=");
    for (int x = 0; x < m.n; x++) {
        if (x > 0) out[at++] = '/';
        for (int y = 0; y < m.n; y++) out[at++] = x < y && zs_nb101_has(&m, x, y) ? '1' : '0';
    }
    at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, ";ops=input");
    for (int x = 1; x < m.n - 1; x++) at += (size_t)snprintf(out + at, ZS_MAX_ARCH_TEXT - at, ",%s", OPS[m.op[x]]);
    snprintf(out + at, ZS_MAX_ARCH_TEXT - at, ",output");
}

/* --- network ----------------------------------------------------------------------------------------------------- */

static int n_output_vertices(const zs_nb101_module *m) {
    int k = 0;
    for (int x = 1; x < m->n - 1; x++) k += zs_nb101_has(m, x, m->n - 1);
    return k;
}

static void find_channels(const zs_nb101_module *m, int K, int *channels) {
    const int last = m->n - 1, k = n_output_vertices(m);
    int rest = k > 0 ? K % k : 0;
    for (int x = 1; x < last; x++)
        if (zs_nb101_has(m, x, last)) channels[x] = K / k + (rest-- > 0 ? 1 : 0);
    for (int x = last - 1; x > 0; x--) {
        if (zs_nb101_has(m, x, last)) continue;
        channels[x] = 0;
        for (int y = x + 1; y < last; y++)
            if (zs_nb101_has(m, x, y) && channels[y] > channels[x]) channels[x] = channels[y];
    }
    channels[last] = K;
}

static int add_conv_bn_relu(zs_builder *b, const char *prefix, int x, int K, int size) {
    x = zs_add_conv(b, zs_named("%.40s.conv", prefix).text, x, K, size, 1);
    x = zs_add_bn(b, zs_named("%.40s.bn", prefix).text, x);
    return zs_add_simple(b, ZS_OP_RELU, zs_named("%.40s.relu", prefix).text, x);
}

static int add_first_channels(zs_builder *b, const char *name, int x, int K) {
    zs_attrs attrs = zs_attrs_default();
    attrs.K = K;
    return zs_builder_shape(b, x).C == K ? x : zs_builder_add(b, ZS_OP_SLICE_CHANNELS, name, 1, &x, NULL, &attrs);
}

/* The release makes the operations of all vertices first, then all projections: two turns. */
typedef struct module_builder {
    zs_builder *b;
    int cell, turn;
    int input;
} module_builder;

static int add_projection(const module_builder *mb, int vertex, int K) {
    zs_builder_set_turn(mb->b, mb->turn + 1);
    return add_conv_bn_relu(mb->b, zs_named("cell%02d.p%d", mb->cell, vertex).text, mb->input, K, 1);
}

static int add_vertex_op(const module_builder *mb, int vertex, int op, int x, int K) {
    const zs_node_name prefix = zs_named("cell%02d.v%d", mb->cell, vertex);
    zs_builder_set_turn(mb->b, mb->turn);
    if (op == ZS_NB101_MAX_POOL) return zs_add_max_pool(mb->b, zs_named("%.40s.pool", prefix.text).text, x, 3, 1, 1);
    return add_conv_bn_relu(mb->b, prefix.text, x, K, op == ZS_NB101_CONV_3X3 ? 3 : 1);
}

static int add_module(zs_builder *b, const zs_nb101_module *m, int cell, int x, int K) {
    const module_builder mb = {.b = b, .cell = cell, .turn = 1 + 2 * cell, .input = x};
    const int last = m->n - 1;
    int channels[ZS_NB101_VERTICES] = {0}, nodes[ZS_NB101_VERTICES] = {x};
    find_channels(m, K, channels);
    for (int t = 1; t < last; t++) {
        int terms[ZS_NB101_VERTICES], n_terms = 0;
        for (int s = 1; s < t; s++) {
            if (!zs_nb101_has(m, s, t)) continue;
            const zs_node_name name = zs_named("cell%02d.e%d%d.first", cell, s, t);
            terms[n_terms++] = add_first_channels(b, name.text, nodes[s], channels[t]);
        }
        if (zs_nb101_has(m, 0, t)) terms[n_terms++] = add_projection(&mb, t, channels[t]);
        const zs_node_name name = zs_named("cell%02d.v%d.sum", cell, t);
        const int sum = n_terms == 1 ? terms[0] : zs_add_sum(b, name.text, n_terms, terms);
        nodes[t] = add_vertex_op(&mb, t, m->op[t], sum, channels[t]);
    }
    int parts[ZS_NB101_VERTICES], n_parts = 0;
    for (int t = 1; t < last; t++)
        if (zs_nb101_has(m, t, last)) parts[n_parts++] = nodes[t];
    int out = n_parts > 0 ? parts[0] : -1;
    if (n_parts > 1)
        out = zs_builder_add(b, ZS_OP_CONCAT, zs_named("cell%02d.concat", cell).text, n_parts, parts, NULL, NULL);
    if (!zs_nb101_has(m, 0, last)) return out;
    const int projection = add_projection(&mb, last, K);
    return n_parts == 0 ? projection
                        : zs_add_sum(b, zs_named("cell%02d.sum", cell).text, 2, (const int[]){out, projection});
}

static zs_status args_check(const zs_nb101_module *m, const zs_space_args *args, zs_error *err) {
    const zs_status st = zs_space_args_check(&zs_space_nasbench101, args, err);
    if (st != ZS_OK) return st;
    const int k = n_output_vertices(m), least = k > 1 ? k : 1;
    if (args->channels > ZS_MAX_DIM / 4 || args->channels < least)
        return zs_fail(err, ZS_EINVAL, "channels: expected %d to %d, as %d vertices share the output, got %d", least,
                       ZS_MAX_DIM / 4, k, args->channels);
    if (args->input.H < 4 || args->input.W < 4)
        return zs_fail(err, ZS_EINVAL, "input size: expected at least 4 x 4 (it is halved twice), got %d x %d",
                       args->input.H, args->input.W);
    return ZS_OK;
}

static zs_status nasbench101_build(const int *genes, const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_nb101_module m = module_of(genes);
    const zs_status st = args_check(&m, args, err);
    if (st != ZS_OK) return st;
    zs_builder *b = zs_builder_make(args->input, err);
    if (!b) return err->status;

    int K = args->channels;
    int x = add_conv_bn_relu(b, "stem", 0, K, 3);
    zs_builder_set_feature(b, x);
    for (int stack = 0; stack < N_STACKS; stack++) {
        if (stack > 0) {
            K *= 2;
            x = zs_add_max_pool(b, zs_named("pool%d", stack).text, x, 2, 2, 0);
        }
        for (int i = 0; i < args->cells && zs_builder_ok(b); i++) {
            x = add_module(b, &m, stack * args->cells + i, x, K);
            zs_builder_set_feature(b, x);
        }
    }
    zs_builder_set_turn(b, INT32_MAX);
    x = zs_add_head(b, x, args->num_classes);
    return zs_builder_finish(b, x, graph, err);
}

const zs_space zs_space_nasbench101 = {
    .name = "nasbench101",
    .n_genes = N_GENES,
    .channels = 16,
    .cells = 3,
    .builders = 1u << ZS_BUILDER_AUTODL,
    .parse = nasbench101_parse,
    .check = nasbench101_check,
    .format = nasbench101_format,
    .build = nasbench101_build,
};
