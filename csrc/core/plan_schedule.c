/* In which order everything runs, and what forms a step.

   Tasks are phases, and two events a node: its value is there, its gradient is complete. Each waits for others; a task
   that needs a join waits for the end of the other's step. A step takes whatever is ready, the last to become ready
   first: so a convolution's statistics follow the convolution, and a weight gradient the batch norm that made its dy,
   while both are in cache, and a tensor that several read is read by all in one step. */
#include <string.h>

#include "core/planner.h"

typedef enum task_kind {
    TASK_VALUE,    /* event */
    TASK_GRADIENT, /* event */
    TASK_FORWARD_SUMS,
    TASK_FORWARD,
    TASK_LOSS,
    TASK_BACKWARD_SUMS,
    TASK_BACKWARD,
    TASK_WEIGHTS,
    TASK_LOOK,
    TASK_LOOK_BACK,
    N_TASKS
} task_kind;

static const zs_phase_kind PHASE[N_TASKS] = {
    [TASK_FORWARD_SUMS] = ZS_PHASE_FORWARD_SUMS,
    [TASK_FORWARD] = ZS_PHASE_FORWARD,
    [TASK_LOSS] = ZS_PHASE_LOSS,
    [TASK_BACKWARD_SUMS] = ZS_PHASE_BACKWARD_SUMS,
    [TASK_BACKWARD] = ZS_PHASE_BACKWARD,
    [TASK_WEIGHTS] = ZS_PHASE_WEIGHTS,
    [TASK_LOOK] = ZS_PHASE_LOOK,
    [TASK_LOOK_BACK] = ZS_PHASE_LOOK_BACK,
};

typedef struct wait {
    int task, of;
    bool join;
} wait;

typedef struct schedule {
    zs_planner *q;
    bool ascending;  /* of two that become ready together the lower node goes first */
    bool *exists;
    wait *waits;
    int n_waits, *first; /* waits for task t: [first[t], first[t + 1]) once sorted */
    int *missing;        /* tasks that a task still waits for */
    int *ready, n_ready; /* stack */
    int *begun, n_begun; /* tasks of the step */
    bool *provided;
} schedule;

static int task(int node, task_kind kind) { return node * N_TASKS + (int)kind; }

static void waits_for(schedule *s, int t, int other, bool join) {
    s->waits[s->n_waits++] = (wait){.task = t, .of = other, .join = join};
    s->missing[t]++;
}

static const zs_edge_plan *edge_of(const zs_planner *q, int node, int j) {
    return &q->p->edges[node_of(q, node)->first_input + j];
}

static void find_forward_tasks(schedule *s) {
    zs_planner *q = s->q;
    for (int i = 0; i < q->g->n_nodes; i++) {
        const zs_node_plan *np = &q->p->nodes[i];
        const zs_node *n = node_of(q, i);
        const bool run = i > 0 && np->kind == ZS_NODE_RUN;
        s->exists[task(i, TASK_VALUE)] = true;
        if (run) {
            s->exists[task(i, TASK_FORWARD)] = true;
            waits_for(s, task(i, TASK_VALUE), task(i, TASK_FORWARD), false);
        }
        if (np->kind == ZS_NODE_VIEW)
            waits_for(s, task(i, TASK_VALUE), task(edge_of(q, i, 0)->source, TASK_VALUE), false);
        if (has_sums(q, i) && (run || np->kind == ZS_NODE_LAZY)) {
            const int sums = task(i, TASK_FORWARD_SUMS);
            s->exists[sums] = true;
            for (int j = 0; j < n->n_inputs; j++) waits_for(s, sums, task(edge_of(q, i, j)->source, TASK_VALUE), false);
            if (n->op == ZS_OP_BATCH_NORM_TANGENT) waits_for(s, sums, task(n->attrs.primal, TASK_FORWARD_SUMS), true);
            if (run) waits_for(s, task(i, TASK_FORWARD), task(i, TASK_FORWARD_SUMS), true);
        }
        for (int j = 0; run && j < n->n_inputs; j++) {
            const zs_edge_plan *e = edge_of(q, i, j);
            if (e->dropped) continue;
            waits_for(s, task(i, TASK_FORWARD), task(e->source, TASK_VALUE), false);
            if (e->bn >= 0) waits_for(s, task(i, TASK_FORWARD), task(e->bn, TASK_FORWARD_SUMS), true);
        }
    }
    for (int i = 0; i < q->g->n_nodes; i++) {
        if (!(watch_of(q, i) & ZS_WATCH_FORWARD)) continue;
        s->exists[task(i, TASK_LOOK)] = true;
        if (watch_of(q, i) & (ZS_WATCH_VALUE | ZS_WATCH_INPUT))
            waits_for(s, task(i, TASK_LOOK), task(q->p->nodes[i].shown, TASK_VALUE), false);
        if ((watch_of(q, i) & ZS_WATCH_STATS) && s->exists[task(i, TASK_FORWARD_SUMS)])
            waits_for(s, task(i, TASK_LOOK), task(i, TASK_FORWARD_SUMS), true);
    }
    const int out = q->p->output;
    s->exists[task(out, TASK_LOSS)] = true;
    waits_for(s, task(out, TASK_LOSS), task(out, TASK_VALUE), false);
}

/* The task after which the gradient of a seeded node is the observer's. */
static int seed_of(const zs_planner *q, int node) {
    int i = node;
    while (q->p->nodes[i].shown != node || !(watch_of(q, i) & ZS_WATCH_SEED)) i++;
    return task(i, TASK_LOOK_BACK);
}

static void find_backward_tasks(schedule *s) {
    zs_planner *q = s->q;
    for (int i = 0; i < q->g->n_nodes; i++) {
        const int shown = q->p->nodes[i].shown;
        if (!(watch_of(q, i) & ZS_WATCH_BACKWARD) || !q->p->nodes[shown].wants_grad) continue;
        s->exists[task(i, TASK_LOOK_BACK)] = true;
        waits_for(s, task(i, TASK_LOOK_BACK), task(shown, TASK_GRADIENT), false);
    }
    s->exists[task(0, TASK_GRADIENT)] = q->p->nodes[0].wants_grad;
    for (int i = 1; i < q->g->n_nodes; i++) {
        const zs_node_plan *np = &q->p->nodes[i];
        const zs_node *n = node_of(q, i);
        if (!np->wants_grad) continue;
        s->exists[task(i, TASK_GRADIENT)] = true;
        /* a gradient that the observer replaces is read once it has */
        const bool seeded = q->shown[i] & ZS_WATCH_SEED;
        const int gradient = seeded ? seed_of(q, i) : task(i, TASK_GRADIENT);
        const int back = task(i, TASK_BACKWARD), weights = task(i, TASK_WEIGHTS);
        const bool lazy_relu = np->kind == ZS_NODE_LAZY && n->op == ZS_OP_RELU;
        const bool runs = (np->kind == ZS_NODE_RUN || np->kind == ZS_NODE_LAZY) && !lazy_relu;
        bool any = false;
        for (int j = 0; j < n->n_inputs; j++) {
            const zs_edge_plan *e = edge_of(q, i, j);
            const int to = zs_planner_target(e);
            if (!passes_gradient(q, i, j)) continue;
            if (runs && e->dx.storage >= 0) {
                any = true;
                waits_for(s, task(to, TASK_GRADIENT), np->fuses ? weights : back, false);
            } else if (!lazy_relu && q->p->nodes[to].wants_grad) { /* the same memory */
                waits_for(s, task(to, TASK_GRADIENT), gradient, seeded);
            }
        }
        if (!runs) continue;
        if (any && !np->fuses) {
            s->exists[back] = true;
            waits_for(s, back, gradient, seeded);
        }
        if (has_sums(q, i)) {
            s->exists[task(i, TASK_BACKWARD_SUMS)] = true;
            waits_for(s, task(i, TASK_BACKWARD_SUMS), gradient, seeded);
            if (any) waits_for(s, back, task(i, TASK_BACKWARD_SUMS), true);
        }
        if (has_weight_gradient(q, i)) {
            s->exists[weights] = true;
            waits_for(s, weights, gradient, seeded);
        }
    }
}

/* Waits by the task that is waited for. */
static void sort_waits(schedule *s, wait *sorted) {
    const int n_tasks = s->q->g->n_nodes * N_TASKS;
    memset(s->first, 0, (size_t)(n_tasks + 1) * sizeof *s->first);
    for (int i = 0; i < s->n_waits; i++) s->first[s->waits[i].of + 1]++;
    for (int t = 0; t < n_tasks; t++) s->first[t + 1] += s->first[t];
    for (int i = 0; i < s->n_waits; i++) sorted[s->first[s->waits[i].of]++] = s->waits[i];
    for (int t = n_tasks; t > 0; t--) s->first[t] = s->first[t - 1];
    s->first[0] = 0;
    memcpy(s->waits, sorted, (size_t)s->n_waits * sizeof *sorted);
}

/* What was pushed from `from` on is put in order, the first to go on top. */
static void order_ready(schedule *s, int from) {
    for (int i = from + 1; i < s->n_ready; i++) {
        const int t = s->ready[i];
        int k = i;
        for (; k > from && (s->ready[k - 1] < t) == s->ascending; k--) s->ready[k] = s->ready[k - 1];
        s->ready[k] = t;
    }
}

static void open_step(zs_plan *p) {
    if (p->n_steps > 0 && p->steps[p->n_steps - 1].n == 0) return;
    p->steps[p->n_steps++] = (zs_step){.first = p->n_phases};
}

static void add_phase(zs_plan *p, zs_phase_kind kind, int node) {
    p->phases[p->n_phases++] = (zs_phase){.kind = kind, .node = node};
    p->steps[p->n_steps - 1].n++;
}

/* Zeros are written just before they are read first, and values made again just before backward reads them. */
static void provide(schedule *s, int node, bool back) {
    zs_plan *p = s->q->p;
    while (p->nodes[node].kind == ZS_NODE_VIEW) node = edge_of(s->q, node, 0)->source;
    const bool zeros = p->nodes[node].kind == ZS_NODE_FILL;
    if (s->provided[node] || !(zeros || (back && p->nodes[node].remade))) return;
    s->provided[node] = true;
    for (int j = 0; !zeros && j < node_of(s->q, node)->n_inputs; j++)
        if (!edge_of(s->q, node, j)->dropped) provide(s, edge_of(s->q, node, j)->source, true);
    add_phase(p, zeros ? ZS_PHASE_FILL : ZS_PHASE_REMAKE, node);
}

/* What is made again from a value has to be there before a gradient replaces that value. */
static void provide_before_it_goes(schedule *s, int value) {
    for (int i = value + 1; s->q->s->recompute && i < s->q->g->n_nodes; i++)
        for (int j = 0; s->q->p->nodes[i].remade && j < node_of(s->q, i)->n_inputs; j++)
            if (edge_of(s->q, i, j)->source == value) provide(s, i, true);
}

static void begin(schedule *s, int t) {
    const zs_planner *q = s->q;
    const int node = t / N_TASKS;
    const task_kind kind = (task_kind)(t % N_TASKS);
    const bool back = kind > TASK_LOSS;
    s->begun[s->n_begun++] = t;
    if (kind == TASK_VALUE || kind == TASK_GRADIENT) return;
    if (kind == TASK_LOOK || kind == TASK_LOOK_BACK) {
        add_phase(q->p, PHASE[kind], node);
        return;
    }
    if (kind == TASK_LOSS) provide(s, node, false);
    if (back && has_trait(q, node, ZS_BWD_READS_OUT)) provide(s, node, true);
    for (int j = 0; kind != TASK_LOSS && j < node_of(q, node)->n_inputs; j++) {
        const zs_edge_plan *e = edge_of(q, node, j);
        if (!e->dropped && (!back || reads_back(q, node, j))) provide(s, e->source, back);
        if (kind == TASK_BACKWARD && e->dx.storage >= 0 && e->dx.storage == q->p->nodes[e->source].kept.storage)
            provide_before_it_goes(s, e->source);
    }
    add_phase(q->p, PHASE[kind], node);
}

/* The tasks that wait for t, at once or for a join, wait for one less. */
static void release(schedule *s, int t, bool join) {
    const int from = s->n_ready;
    for (int i = s->first[t]; i < s->first[t + 1]; i++) {
        const wait *w = &s->waits[i];
        if (w->join == join && --s->missing[w->task] == 0 && s->exists[w->task]) s->ready[s->n_ready++] = w->task;
    }
    order_ready(s, from);
}

static void run(schedule *s) {
    zs_plan *p = s->q->p;
    const int n_tasks = s->q->g->n_nodes * N_TASKS;
    for (int t = 0; t < n_tasks; t++)
        if (s->exists[t] && s->missing[t] == 0) s->ready[s->n_ready++] = t;
    order_ready(s, 0);
    while (s->n_ready > 0) {
        open_step(p);
        s->n_begun = 0;
        while (s->n_ready > 0) {
            const int t = s->ready[--s->n_ready];
            begin(s, t);
            release(s, t, false);
        }
        for (int i = 0; i < s->n_begun; i++) release(s, s->begun[i], true);
        order_ready(s, 0);
    }
    if (p->n_steps > 0 && p->steps[p->n_steps - 1].n == 0) p->n_steps--;
}

static void reset(schedule *s, bool ascending) {
    const size_t n_tasks = (size_t)s->q->g->n_nodes * N_TASKS;
    memset(s->exists, 0, n_tasks * sizeof *s->exists);
    memset(s->missing, 0, n_tasks * sizeof *s->missing);
    s->n_waits = s->n_ready = 0;
    s->ascending = ascending;
}

zs_status zs_planner_schedule(zs_planner *q) {
    const size_t n_nodes = (size_t)q->g->n_nodes, n_tasks = n_nodes * N_TASKS;
    const size_t n_waits = 3 * (size_t)q->g->n_inputs + 9 * n_nodes; /* forward; backward has fewer */
    schedule s = {.q = q};
    s.exists = zs_alloc(n_tasks * sizeof *s.exists);
    s.missing = zs_alloc(n_tasks * sizeof *s.missing);
    s.ready = zs_alloc(n_tasks * sizeof *s.ready);
    s.begun = zs_alloc(n_tasks * sizeof *s.begun);
    s.first = zs_alloc((n_tasks + 1) * sizeof *s.first);
    s.waits = zs_alloc(n_waits * sizeof *s.waits);
    s.provided = zs_calloc(n_nodes, sizeof *s.provided);
    wait *sorted = zs_alloc(n_waits * sizeof *sorted);
    if (!s.exists || !s.missing || !s.ready || !s.begun || !s.first || !s.waits || !s.provided || !sorted) {
        zs_fail(q->err, ZS_ENOMEM, "out of memory while planning");
        goto done;
    }
    reset(&s, true);
    find_forward_tasks(&s);
    sort_waits(&s, sorted);
    run(&s);
    q->p->n_forward_steps = q->p->n_steps;
    bool any_wanted = false;
    for (int i = 0; i < q->g->n_nodes; i++) any_wanted = any_wanted || q->p->nodes[i].wants_grad;
    if (any_wanted) {
        reset(&s, false);
        find_backward_tasks(&s);
        sort_waits(&s, sorted);
        run(&s);
    }
done:
    zs_free(s.exists);
    zs_free(s.missing);
    zs_free(s.ready);
    zs_free(s.begun);
    zs_free(s.first);
    zs_free(s.waits);
    zs_free(s.provided);
    zs_free(sorted);
    return q->err->status;
}
