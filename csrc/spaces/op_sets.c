#include "spaces/op_sets.h"

#include <stdio.h>

static bool read_set(zs_reader *r, int n_ops, const char *const *ops, const char *expected, int *set) {
    *set = 0;
    if (r->at < r->len && r->text[r->at] == '~') return true;
    for (;;) {
        const size_t at = r->at;
        const int op = zs_read_word(r, n_ops, ops, expected);
        if (op < 0) return false;
        if (*set >> op & 1) return zs_read_fail(r, at, "each operation of an edge once") == ZS_OK;
        *set |= 1 << op;
        if (r->at >= r->len || r->text[r->at] != ',') return true;
        r->at++;
    }
}

bool zs_read_op_sets(zs_reader *r, int node, int n_ops, const char *const *ops, const char *expected, int *sets) {
    unsigned seen = 0;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "'|' before a term of node %d", node);
    if (!zs_read_char(r, '|', wanted)) return false;
    for (int term = 0; term < node; term++) {
        int set;
        if (!read_set(r, n_ops, ops, expected, &set)) return false;
        if (!zs_read_char(r, '~', "',' and an operation, or '~' and a source")) return false;
        const size_t at = r->at;
        snprintf(wanted, sizeof wanted, "a source of node %d (0 to %d)", node, node - 1);
        const int source = zs_read_digit(r, node, wanted);
        if (source < 0) return false;
        snprintf(wanted, sizeof wanted, "each source of node %d once", node);
        if (seen >> source & 1) return zs_read_fail(r, at, wanted) == ZS_OK;
        seen |= 1u << source;
        sets[source] = set;
        if (!zs_read_char(r, '|', "'|' after a source")) return false;
    }
    return true;
}

size_t zs_write_op_sets(char *out, size_t room, int node, const char *const *ops, const int *sets) {
    size_t at = (size_t)snprintf(out, room, "|");
    for (int source = 0; source < node; source++) {
        const char *between = "";
        for (int op = 0; sets[source] >> op; op++) {
            if (!(sets[source] >> op & 1)) continue;
            at += (size_t)snprintf(out + at, room - at, "%s%s", between, ops[op]);
            between = ",";
        }
        at += (size_t)snprintf(out + at, room - at, "~%d|", source);
    }
    return at;
}

int zs_op_set_size(int set) {
    int n = 0;
    for (; set; set &= set - 1) n++;
    return n;
}

void zs_mean_add(zs_mean *m, int term, int set) {
    ZS_ASSERT(m->n < ZS_MAX_SUM);
    m->terms[m->n] = term;
    m->coefs[m->n++] = 1.0 / zs_op_set_size(set);
}

int zs_add_mean(zs_builder *b, const char *name, const zs_mean *m, int x, int stride) {
    zs_attrs attrs = zs_attrs_default();
    attrs.stride = stride;
    if (m->n == 0) return zs_builder_add(b, ZS_OP_ZERO, name, 1, &x, NULL, &attrs);
    return zs_builder_add(b, ZS_OP_ADD, name, m->n, m->terms, m->coefs, NULL);
}
