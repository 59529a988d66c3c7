/* SWAP (Peng et al., ICLR 2024): how many different patterns the units of all ReLUs on maps have, a
   unit's pattern being on which of the n images it is on: at most 2^n. Regularised by

       exp(-(p - mu)^2 / sigma)         p: parameters / 1000

   Patterns of up to FEW images are ticked off in a bitmap; longer ones go into a hash table that has room for all
   units. */
#include <string.h>

#include "scores/relu_bits.h"

enum { MU, SIGMA }; /* sigma 0: not regularised */
enum { FEW = 22, BLOCK = 64 };

static const char *const PARAMS[] = {"mu", "sigma", NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

static unsigned watch(const zs_score_run *run, int node) {
    return zs_is_map_relu(&run->graph->nodes[node]) ? ZS_WATCH_INPUT : 0;
}

/* The struct, bits of one ReLU (image after image), patterns of 64 units, and the set: a bit for each pattern, or slots
   of pattern_words, all zero where empty. The pattern of a unit that is never on is none of these. */
typedef struct memory {
    uint64_t *bits, *patterns, *set;
    size_t pattern_words, n_slots;
    int64_t n_patterns;
    bool begun, any_unit, never_on;
} memory;

static size_t set_words(const zs_score_run *run, size_t n_units, size_t pattern_words, size_t *n_slots) {
    if (run->group_size <= FEW) return (((size_t)1 << run->group_size) + 63) / 64;
    for (*n_slots = 64; *n_slots < n_units + n_units / 2;) *n_slots *= 2;
    return *n_slots * pattern_words;
}

/* Gives every part its place; bytes of all. */
static size_t lay_out(const zs_score_run *run, memory *m) {
    const size_t n = (size_t)run->group_size, pattern_words = (n + 63) / 64;
    size_t most = 0, n_units = 0, n_slots = 0;
    for (int i = 0; i < run->graph->n_nodes; i++) {
        const zs_shape s = run->graph->nodes[i].shape;
        if (!watch(run, i)) continue;
        if (zs_relu_words(s) > most) most = zs_relu_words(s);
        n_units += (size_t)s.C * (size_t)s.H * (size_t)s.W;
    }
    const size_t in_set = set_words(run, n_units, pattern_words, &n_slots);
    if (m) {
        m->bits = (uint64_t *)(void *)(m + 1);
        m->patterns = m->bits + n * most;
        m->set = m->patterns + BLOCK * pattern_words;
        m->pattern_words = pattern_words;
        m->n_slots = n_slots;
        m->begun = true;
    }
    return sizeof(memory) + (n * most + BLOCK * pattern_words + in_set) * sizeof(uint64_t);
}

static size_t memory_bytes(const zs_score_run *run) { return lay_out(run, NULL); }

/* bit j of word i <-> bit i of word j (Warren, Hacker's Delight, Sec. 7-3) */
static void transpose(uint64_t a[BLOCK]) {
    uint64_t mask = 0x00000000FFFFFFFF;
    for (int j = 32; j > 0; j >>= 1, mask ^= mask << j)
        for (int i = 0; i < BLOCK; i = ((i | j) + 1) & ~j) {
            const uint64_t t = ((a[i] >> j) ^ a[i | j]) & mask;
            a[i] ^= t << j;
            a[i | j] ^= t;
        }
}

static uint64_t mix(uint64_t h) { /* Steele, Lea and Flood (2014), as in SplitMix64 */
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

/* A pattern that is not empty, into the hash table; whether it is new. */
static bool add_to_table(memory *m, const uint64_t *pattern) {
    const size_t words = m->pattern_words;
    uint64_t h = 0;
    for (size_t w = 0; w < words; w++) h = mix(h + pattern[w] + 0x9E3779B97F4A7C15u);
    for (size_t at = h & (m->n_slots - 1);; at = (at + 1) & (m->n_slots - 1)) {
        uint64_t *const slot = m->set + at * words;
        uint64_t any = 0, other = 0;
        for (size_t w = 0; w < words; w++) {
            any |= slot[w];
            other |= slot[w] ^ pattern[w];
        }
        if (!other) return false;
        if (any) continue;
        memcpy(slot, pattern, words * sizeof *slot);
        return true;
    }
}

static void add(memory *m, const uint64_t *pattern) {
    uint64_t any = 0;
    for (size_t w = 0; w < m->pattern_words; w++) any |= pattern[w];
    if (!any) {
        m->never_on = true;
    } else if (m->n_slots) {
        m->n_patterns += add_to_table(m, pattern);
    } else {
        uint64_t *const word = &m->set[*pattern / 64];
        m->n_patterns += !(*word >> *pattern % 64 & 1);
        *word |= (uint64_t)1 << *pattern % 64;
    }
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    const int n = run->group_size;
    if (!m->begun) lay_out(run, m);
    m->any_unit = true;
    if (!look->value.p) {
        m->never_on = true;
        return;
    }
    const size_t stride = zs_relu_words(look->shape), words = m->pattern_words;
    const zs_relu_rows rows = zs_relu_bits(run->kernels, look, 0, n, m->bits);
    for (size_t at = 0; at < rows.n_runs * rows.run_words; at++) {
        const size_t done = at % rows.run_words * BLOCK, left = rows.run_length - done;
        for (int first = 0; first < n; first += BLOCK) {
            uint64_t block[BLOCK] = {0};
            for (int i = 0; i < BLOCK && first + i < n; i++) block[i] = m->bits[(size_t)(first + i) * stride + at];
            transpose(block);
            for (size_t u = 0; u < BLOCK; u++) m->patterns[u * words + (size_t)(first / BLOCK)] = block[u];
        }
        for (size_t u = 0; u < BLOCK && u < left; u++) add(m, m->patterns + u * words);
    }
}

static double kilo_params(const zs_graph *g) {
    double n = 0;
    for (int t = 0; t < g->n_tensors; t++)
        if (g->tensors[t].role < ZS_ROLE_RUNNING_MEAN) n += (double)g->tensors[t].size;
    return n / 1000;
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    if (!m->any_unit) {
        run->status = ZS_RESULT_NO_SIGNAL;
        run->reason = "no_relu";
        return;
    }
    run->value = (double)(m->n_patterns + m->never_on);
    if (run->params[SIGMA] != 0) {
        const double off = kilo_params(run->graph) - run->params[MU];
        run->value *= exp(-(off * off) / run->params[SIGMA]);
    }
}

const zs_score zs_score_swap = {
    .name = "swap",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
