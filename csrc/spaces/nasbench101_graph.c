#include <string.h>

#include "spaces/nasbench101.h"

enum { MAX_INNER = ZS_NB101_VERTICES - 2, MAX_ORDERS = 120 };

uint32_t zs_nb101_on_paths(int n, const uint32_t *out) {
    uint32_t from_input = 1, to_output = 1u << (n - 1);
    for (int x = 0; x < n; x++)
        if (from_input >> x & 1) from_input |= out[x];
    for (int x = n - 1; x >= 0; x--)
        if (out[x] & to_output) to_output |= 1u << x;
    return from_input & to_output;
}

bool zs_nb101_is_full(int n, uint32_t edges) {
    uint32_t out[ZS_NB101_VERTICES] = {0};
    for (int y = 1; y < n; y++)
        for (int x = 0; x < y; x++)
            if (edges >> zs_nb101_bit(x, y) & 1) out[x] |= 1u << y;
    return zs_nb101_on_paths(n, out) == (1u << n) - 1;
}

/* --- other numberings -------------------------------------------------------------------------------------------- */

typedef struct order {
    uint8_t to[ZS_NB101_VERTICES]; /* new number of each vertex */
} order;

/* All numberings of 1 .. n-2, those of 0 and n-1 stay, the identity first. Returns how many. */
static int find_orders(int n, order *orders) {
    int n_orders = 0;
    uint8_t inner[MAX_INNER];
    const int k = n - 2;
    for (int i = 0; i < k; i++) inner[i] = (uint8_t)(i + 1);
    for (;;) {
        order *o = &orders[n_orders++];
        o->to[0] = 0;
        o->to[n - 1] = (uint8_t)(n - 1);
        for (int i = 0; i < k; i++) o->to[i + 1] = inner[i];
        int i = k - 2; /* the next permutation in lexicographic order */
        while (i >= 0 && inner[i] > inner[i + 1]) i--;
        if (i < 0) return n_orders;
        int j = k - 1;
        while (inner[j] < inner[i]) j--;
        const uint8_t t = inner[i];
        inner[i] = inner[j];
        inner[j] = t;
        for (int a = i + 1, b = k - 1; a < b; a++, b--) {
            const uint8_t u = inner[a];
            inner[a] = inner[b];
            inner[b] = u;
        }
    }
}

typedef struct edge_list {
    int n;
    uint8_t x[ZS_NB101_BITS], y[ZS_NB101_BITS];
} edge_list;

static edge_list list_edges(int n, uint32_t edges) {
    edge_list list = {0};
    for (int y = 1; y < n; y++)
        for (int x = 0; x < y; x++)
            if (edges >> zs_nb101_bit(x, y) & 1) {
                list.x[list.n] = (uint8_t)x;
                list.y[list.n++] = (uint8_t)y;
            }
    return list;
}

/* Edges under other numbers; UINT32_MAX if one of them would not go upwards. */
static uint32_t renumbered(const edge_list *edges, const order *o) {
    uint32_t out = 0;
    for (int i = 0; i < edges->n; i++) {
        const int x = o->to[edges->x[i]], y = o->to[edges->y[i]];
        if (x >= y) return UINT32_MAX;
        out |= 1u << zs_nb101_bit(x, y);
    }
    return out;
}

static bool keeps_output_order(const zs_nb101_module *m, const order *o) {
    int last = 0;
    for (int x = 1; x < m->n - 1; x++) {
        if (!zs_nb101_has(m, x, m->n - 1)) continue;
        if (o->to[x] < last) return false;
        last = o->to[x];
    }
    return true;
}

static int ops_number(int n, const int *op, const order *o) {
    int moved[ZS_NB101_VERTICES] = {0}, number = 0;
    for (int x = 1; x < n - 1; x++) moved[o ? o->to[x] : x] = op[x];
    for (int x = 1; x < n - 1; x++) number = number * ZS_NB101_OPS + moved[x];
    return number;
}

void zs_nb101_canonical(const zs_nb101_module *m, bool keep_order, zs_nb101_module *out) {
    order orders[MAX_ORDERS];
    const int n_orders = find_orders(m->n, orders);
    const edge_list list = list_edges(m->n, m->edges);
    uint32_t best_edges = m->edges;
    int best_ops = ops_number(m->n, m->op, NULL), best = 0;
    for (int i = 1; i < n_orders; i++) {
        const uint32_t edges = renumbered(&list, &orders[i]);
        if (edges > best_edges || (keep_order && !keeps_output_order(m, &orders[i]))) continue;
        const int ops = ops_number(m->n, m->op, &orders[i]);
        if (edges == best_edges && ops >= best_ops) continue;
        best_edges = edges;
        best_ops = ops;
        best = i;
    }
    *out = (zs_nb101_module){.n = m->n, .edges = best_edges};
    for (int x = 1; x < m->n - 1; x++) out->op[orders[best].to[x]] = m->op[x];
}

/* --- enumeration ------------------------------------------------------------------------------------------------- */

/* Whether no numbering gives fewer edges; those that give the same are put into `same`. */
static bool is_least(int n, uint32_t edges, int n_orders, const order *orders, order *same, int *n_same) {
    const edge_list list = list_edges(n, edges);
    *n_same = 0;
    for (int i = 1; i < n_orders; i++) {
        const uint32_t other = renumbered(&list, &orders[i]);
        if (other < edges) return false;
        if (other == edges) same[(*n_same)++] = orders[i];
    }
    return true;
}

static bool are_least(int n, const int *op, int number, int n_same, const order *same) {
    for (int i = 0; i < n_same; i++)
        if (ops_number(n, op, &same[i]) < number) return false;
    return true;
}

size_t zs_nb101_count(int n) {
    static const size_t COUNTS[ZS_NB101_VERTICES + 1] = {0, 0, 1, 6, 84, 2441, 62010, 359082};
    ZS_ASSERT(n >= 2 && n <= ZS_NB101_VERTICES);
    return COUNTS[n];
}

void zs_nb101_enumerate(int n, int32_t *codes) {
    ZS_ASSERT(n >= 2 && n <= ZS_NB101_VERTICES);
    order orders[MAX_ORDERS], same[MAX_ORDERS];
    const int n_orders = find_orders(n, orders);
    int n_ops = 1, n_same;
    for (int x = 1; x < n - 1; x++) n_ops *= ZS_NB101_OPS;
    size_t count = 0;
    for (uint32_t edges = 1; edges < 1u << n * (n - 1) / 2; edges++) {
        if (__builtin_popcount(edges) > ZS_NB101_EDGES || !zs_nb101_is_full(n, edges) ||
            !is_least(n, edges, n_orders, orders, same, &n_same))
            continue;
        for (int number = 0; number < n_ops; number++) {
            int op[ZS_NB101_VERTICES] = {0};
            for (int x = n - 2, rest = number; x > 0; x--, rest /= ZS_NB101_OPS) op[x] = rest % ZS_NB101_OPS;
            if (!are_least(n, op, number, n_same, same)) continue;
            ZS_ASSERT(count < zs_nb101_count(n));
            codes[count++] = (int32_t)edges * n_ops + number;
        }
    }
    ZS_ASSERT(count == zs_nb101_count(n));
}
