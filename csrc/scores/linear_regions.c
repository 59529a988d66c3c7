/* Linear regions (TE-NAS, Chen et al., ICLR 2021): how many different patterns of on and off units, over all
   ReLUs on maps, the images of a batch have: 1 to n, and 1 without a ReLU, undefined if the network bends otherwise.

   Images are split into classes of equal patterns, ReLU by ReLU; an image alone in its class stays so, and once all are
   nothing is looked at any more. */
#include <string.h>

#include "scores/relu_bits.h"

static const char *const PARAMS[] = {NULL};

static zs_needs needs(const zs_score_run *run) {
    (void)run;
    return (zs_needs){.forward_only = true};
}

static unsigned watch(const zs_score_run *run, int node) {
    return zs_is_map_relu(&run->graph->nodes[node]) ? ZS_WATCH_INPUT : 0;
}

/* The struct, bits of one ReLU, classes. All zero, as at the start: every image is in the class of the first. */
typedef struct memory {
    uint64_t *bits;
    int *of, *next; /* the first image with equal patterns: so far, and with one more ReLU */
    int n_classes;
    bool begun;
} memory;

static size_t most_words(const zs_score_run *run) {
    size_t most = 0;
    for (int i = 0; i < run->graph->n_nodes; i++) {
        const size_t words = watch(run, i) ? zs_relu_words(run->graph->nodes[i].shape) : 0;
        if (words > most) most = words;
    }
    return most;
}

static size_t memory_bytes(const zs_score_run *run) {
    const size_t n = (size_t)run->group_size;
    return sizeof(memory) + n * most_words(run) * sizeof(uint64_t) + 2 * n * sizeof(int);
}

static void begin(const zs_score_run *run, memory *m) {
    const size_t n = (size_t)run->group_size;
    m->bits = (uint64_t *)(void *)(m + 1);
    m->of = (int *)(void *)(m->bits + n * most_words(run));
    m->next = m->of + n;
    m->n_classes = 1;
    m->begun = true;
}

static void look(const zs_score_run *run, void *state, const zs_look *look) {
    memory *m = state;
    const int n = run->group_size;
    if (!m->begun) begin(run, m);
    if (!look->value.p || m->n_classes == n) return; /* all off, for all images: nothing to tell them apart */
    const size_t stride = zs_relu_words(look->shape);
    const zs_relu_rows rows = zs_relu_bits(run->kernels, look, 0, n, m->bits);
    const size_t bytes = rows.n_runs * rows.run_words * sizeof *m->bits;
    m->n_classes = 0;
    for (int i = 0; i < n; i++) {
        int j = m->of[i]; /* nothing before is equal */
        while (j < i && (m->of[j] != m->of[i] || m->next[j] != j ||
                         memcmp(m->bits + (size_t)i * stride, m->bits + (size_t)j * stride, bytes) != 0))
            j++;
        m->next[i] = j;
        m->n_classes += j == i;
    }
    memcpy(m->of, m->next, (size_t)n * sizeof *m->of);
}

static void finish(zs_score_run *run, const zs_finish *f) {
    const memory *m = f->memory;
    run->value = m->begun ? m->n_classes : 1;
    if (!m->begun && zs_has_other_activation(run->graph)) zs_undefined(run, "no_relu");
}

const zs_score zs_score_linear_regions = {
    .name = "linear_regions",
    .params = PARAMS,
    .min_groups = 1,
    .needs = needs,
    .watch = watch,
    .memory_bytes = memory_bytes,
    .look = look,
    .finish = finish,
};
