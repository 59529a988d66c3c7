#include "spaces/genotype.h"

#include <stdarg.h>
#include <stdio.h>

#include "spaces/darts_cells.h"

static unsigned all_nodes(const zs_genotype_rules *rules) { return ((1u << rules->n_nodes) - 1u) << 2; }

/* --- genes ------------------------------------------------------------------------------------------------------- */

static int n_cell_genes(const zs_genotype_rules *rules) {
    return 4 * rules->n_nodes + (rules->all_concatenated ? 0 : rules->n_nodes);
}

int zs_genotype_n_genes(const zs_genotype_rules *rules) { return 2 * n_cell_genes(rules); }

static zs_cell cell_of_genes(const zs_genotype_rules *rules, const int *genes) {
    zs_cell cell = {.concat = all_nodes(rules)};
    for (int i = 0; i < 2 * rules->n_nodes; i++) {
        cell.op[i] = rules->ops[genes[2 * i]];
        cell.source[i] = genes[2 * i + 1];
    }
    if (rules->all_concatenated) return cell;
    cell.concat = 0;
    for (int node = 0; node < rules->n_nodes; node++)
        cell.concat |= (unsigned)genes[4 * rules->n_nodes + node] << (node + 2);
    return cell;
}

zs_genotype zs_genotype_of_genes(const zs_genotype_rules *rules, const int *genes) {
    return (zs_genotype){cell_of_genes(rules, genes), cell_of_genes(rules, genes + n_cell_genes(rules))};
}

static zs_status check_cell(const zs_genotype_rules *rules, const char *cell, const int *genes, zs_error *err) {
    for (int i = 0; i < 2 * rules->n_nodes; i++) {
        const int op = genes[2 * i], source = genes[2 * i + 1], node = 2 + i / 2;
        if (op < 0 || op >= rules->n_ops)
            return zs_fail(err, ZS_EARCH, "operation %d of the %s cell: expected 0 to %d, got %d", i, cell,
                           rules->n_ops - 1, op);
        if (source < 0 || source >= node)
            return zs_fail(err, ZS_EARCH, "source %d of the %s cell: expected 0 to %d, as it feeds node %d, got %d", i,
                           cell, node - 1, node, source);
        if (rules->two_sources && i % 2 == 1 && source == genes[2 * i - 1])
            return zs_fail(err, ZS_EARCH, "sources of node %d of the %s cell: expected two that differ, got %d twice",
                           node, cell, source);
    }
    if (rules->all_concatenated) return ZS_OK;
    int n = 0;
    for (int node = 0; node < rules->n_nodes; node++) {
        const int bit = genes[4 * rules->n_nodes + node];
        if (bit != 0 && bit != 1)
            return zs_fail(err, ZS_EARCH, "concatenation of node %d of the %s cell: expected 0 or 1, got %d", node + 2,
                           cell, bit);
        n += bit;
    }
    return n > 0 ? ZS_OK : zs_fail(err, ZS_EARCH, "concatenation of the %s cell: expected at least one node", cell);
}

zs_status zs_genotype_check(const zs_genotype_rules *rules, const int *genes, zs_error *err) {
    const zs_status st = check_cell(rules, "normal", genes, err);
    return st != ZS_OK ? st : check_cell(rules, "reduction", genes + n_cell_genes(rules), err);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static char next(zs_reader *r) { /* the first byte of the next token; 0 at the end and for a NUL, which starts none */
    while (r->at < r->len && (r->text[r->at] == ' ' || (r->text[r->at] >= '\t' && r->text[r->at] <= '\r'))) r->at++;
    return r->at < r->len ? r->text[r->at] : '\0';
}

static bool read_token(zs_reader *r, char c, const char *what) {
    next(r);
    return zs_read_char(r, c, what);
}

/* The bracket that closes the list or tuple that begins here; 0 if none does. */
static char read_opening(zs_reader *r, const char *what) {
    const char c = next(r);
    if (c == '(' || c == '[') {
        r->at++;
        return c == '(' ? ')' : ']';
    }
    zs_read_fail(r, r->at, what);
    return 0;
}

static bool read_closing(zs_reader *r, char closing, const char *what) {
    if (next(r) == ',') r->at++;
    return read_token(r, closing, what);
}

static int read_op(zs_reader *r, const zs_genotype_rules *rules) {
    const char *words[ZS_N_CELL_OPS];
    char what[32 * ZS_N_CELL_OPS];
    size_t at = zs_put(what, sizeof what, 0, "an operation");
    for (int i = 0; i < rules->n_ops; i++) {
        words[i] = zs_cell_op_name(rules->ops[i]);
        at = zs_put(what, sizeof what, at, "%s%s", i == 0 ? " (" : ", ", words[i]);
    }
    zs_put(what, sizeof what, at, ")");
    const char quote = next(r) == '"' ? '"' : '\'';
    if (!zs_read_char(r, quote, "a quoted operation")) return -1;
    const int op = zs_read_word(r, rules->n_ops, words, what);
    return op >= 0 && zs_read_char(r, quote, "the quote that ends an operation") ? op : -1;
}

/* Pair i of a cell: genes[0], genes[1]; genes[-1] is the source of the pair before. */
static bool read_pair(zs_reader *r, const zs_genotype_rules *rules, int i, int *genes) {
    const int node = 2 + i / 2;
    const char closing = read_opening(r, "'(' and an operation with its source");
    if (!closing) return false;
    genes[0] = read_op(r, rules);
    if (genes[0] < 0 || !read_token(r, ',', "',' and a source")) return false;
    next(r);
    const size_t at = r->at;
    genes[1] = zs_read_digit(r, node, zs_expected("a source of node %d (0 to %d)", node, node - 1).text);
    if (genes[1] < 0) return false;
    if (rules->two_sources && i % 2 == 1 && genes[1] == genes[-1])
        return zs_read_fail(r, at, zs_expected("a second source of node %d, other than %d", node, genes[1]).text) ==
               ZS_OK;
    return read_closing(r, closing, "the end of a pair after its source");
}

static bool read_pairs(zs_reader *r, const zs_genotype_rules *rules, const char *cell, int *genes) {
    const int n = 2 * rules->n_nodes;
    const char closing = read_opening(r, zs_expected("'[' and %d pairs of the %s cell", n, cell).text);
    if (!closing) return false;
    for (int i = 0; i < n; i++) {
        if (i > 0 && !read_token(r, ',', zs_expected("',' and pair %d of %d", i + 1, n).text)) return false;
        if (!read_pair(r, rules, i, genes + 2 * i)) return false;
    }
    return read_closing(r, closing, zs_expected("the end of the list after %d pairs", n).text);
}

static int read_node(zs_reader *r, int least, int most) {
    next(r);
    const size_t at = r->at;
    const zs_expected_text what = zs_expected("a node (%d to %d, ascending)", least, most);
    const int node = zs_read_digit(r, most + 1, what.text);
    if (node < 0 || node >= least) return node;
    zs_read_fail(r, at, what.text);
    return -1;
}

static bool read_range(zs_reader *r, int last, unsigned *concat) {
    if (!zs_read_literal(r, "range", "'range', a list or a tuple of nodes") || !read_token(r, '(', "'(' after range"))
        return false;
    const int first = read_node(r, 2, last);
    if (first < 0 || !read_token(r, ',', "',' and the end of a range")) return false;
    const int end = read_node(r, first + 1, last + 1);
    if (end < 0) return false;
    *concat = (1u << end) - (1u << first);
    return read_closing(r, ')', "')' after a range");
}

static bool read_list(zs_reader *r, int last, unsigned *concat) {
    const char closing = read_opening(r, "a list, a tuple or a range of nodes");
    if (!closing) return false;
    int node = 1;
    while (node < last) {
        node = read_node(r, node + 1, last);
        if (node < 0) return false;
        *concat |= 1u << node;
        if (next(r) != ',') break;
        r->at++;
        if (next(r) == closing) break;
    }
    return read_token(r, closing, node < last ? "',' and a node, or the end of the list" : "the end of the list");
}

static bool read_concat(zs_reader *r, const zs_genotype_rules *rules, const char *cell, int *genes) {
    const int last = rules->n_nodes + 1;
    unsigned concat = 0;
    const char first = next(r);
    const size_t at = r->at;
    if (!(first == 'r' ? read_range(r, last, &concat) : read_list(r, last, &concat))) return false;
    if (!rules->all_concatenated)
        for (int node = 0; node < rules->n_nodes; node++) genes[node] = (int)(concat >> (node + 2) & 1);
    else if (concat != all_nodes(rules))
        return zs_fail_at(r->err, (long)at, "expected all nodes, 2 to %d, in the concatenation of the %s cell", last,
                          cell) == ZS_OK;
    return true;
}

/* Before the value of an argument; `named`: whether arguments have names, which the first one decides. */
static bool read_name(zs_reader *r, const char *name, bool named) {
    next(r);
    if (!named) return true;
    const zs_expected_text what = zs_expected("'%s='", name);
    return zs_read_literal(r, name, what.text) && read_token(r, '=', what.text);
}

bool zs_genotype_read(zs_reader *r, const zs_genotype_rules *rules, int *genes) {
    static const char START[] = "'Genotype(' and two cells";
    if (!zs_read_literal(r, "Genotype", START) || !read_token(r, '(', START)) return false;
    const char first = next(r);
    const bool named = first != '[' && first != '(';
    int *const reduce = genes + n_cell_genes(rules);
    return read_name(r, "normal", named) && read_pairs(r, rules, "normal", genes) &&
           read_token(r, ',', "',' and the nodes that the normal cell concatenates") &&
           read_name(r, "normal_concat", named) && read_concat(r, rules, "normal", genes + 4 * rules->n_nodes) &&
           read_token(r, ',', "',' and the reduction cell") && read_name(r, "reduce", named) &&
           read_pairs(r, rules, "reduction", reduce) &&
           read_token(r, ',', "',' and the nodes that the reduction cell concatenates") &&
           read_name(r, "reduce_concat", named) && read_concat(r, rules, "reduction", reduce + 4 * rules->n_nodes) &&
           read_closing(r, ')', "')' after two cells");
}

zs_status zs_genotype_parse(const zs_genotype_rules *rules, const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    return zs_genotype_read(&r, rules, genes) && zs_read_end(&r) ? ZS_OK : err->status;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

typedef struct writer {
    char *out;
    size_t size, at;
} writer;

ZS_PRINTF(2, 3) static void put(writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    w->at += (size_t)vsnprintf(w->out + w->at, w->size - w->at, format, args);
    va_end(args);
    ZS_ASSERT(w->at < w->size);
}

static void put_cell(writer *w, const zs_genotype_rules *rules, const char *name, const zs_cell *cell) {
    put(w, "%s=[", name);
    for (int i = 0; i < 2 * rules->n_nodes; i++)
        put(w, "%s('%s', %d)", i > 0 ? ", " : "", zs_cell_op_name(cell->op[i]), cell->source[i]);
    put(w, "], %s_concat=", name);
    const char *before = "[";
    for (int state = 2; state < rules->n_nodes + 2; state++) {
        if (!(cell->concat >> state & 1)) continue;
        put(w, "%s%d", before, state);
        before = ", ";
    }
    put(w, "]");
}

void zs_genotype_format(const zs_genotype_rules *rules, const int *genes, char *out, size_t size) {
    const zs_genotype g = zs_genotype_of_genes(rules, genes);
    writer w = {out, size, 0};
    put(&w, "Genotype(");
    put_cell(&w, rules, "normal", &g.normal);
    put(&w, ", ");
    put_cell(&w, rules, "reduce", &g.reduce);
    put(&w, ")");
}
