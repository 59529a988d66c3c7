/* The kernel table: one typed slot per kernel, passed as an argument, so that several ISAs live in one process.

   A table serves one dtype; `real` below means float or double accordingly. Kernels are serial, never allocate, cannot
   fail, and work on the samples [n0, n1) of their block. Tensors are NHWC views with a stride per axis (in elements;
   the channel stride is 1), so that concatenations and slices are views. Weights are R x S x I x O. Unless a line says
   *added to*, outputs are overwritten. Arguments never overlap, except where a line says so. */
#ifndef ZS_KERNELS_H
#define ZS_KERNELS_H

#include "core/graph.h"

typedef struct zs_view {
    void *p;          /* sample 0, row 0, column 0, channel 0 */
    ptrdiff_t sn, sh, sw;
} zs_view;

/* How 3x3 convolutions are computed. A table may take direct sums whatever is asked for; it says so by conv2d_algo. */
typedef enum zs_algo {
    ZS_ALGO_DIRECT, /* sums of products, as the formula */
    ZS_ALGO_AUTO,   /* the fastest that keeps float32 gradients within their bounds */
    ZS_ALGO_F4,     /* Winograd F(4x4, 3x3) where it applies */
    ZS_ALGO_F2,     /* Winograd F(2x2, 3x3) where it applies: rounds like direct sums */
    ZS_ALGO_SIGNS,  /* the fastest that rounds like direct sums and so keeps the signs of gradients */
    ZS_N_ALGOS
} zs_algo;

typedef struct zs_conv2d {
    int C, H, W, K, P, Q, groups;
    zs_window win;
    bool relu;        /* x is read through max(x, 0); NaN stays */
    zs_algo algo;     /* what is asked for */
} zs_conv2d;

typedef struct zs_pool {
    int C, H, W, P, Q;
    zs_window win;
    bool count_include_pad;
} zs_pool;

/* Products of matrices, one for each sample and head: y[m, n] = scale * sum_k a[m, k] b[k, n]. Rows of a matrix are the
   positions of a view (h * width + w), its columns the channels from head * columns on. A turned one is read as
   a[k, m], b[n, k]. */
typedef struct zs_matmul {
    int heads, M, N, K; /* of one head */
    int width_a, width_b, width_y; /* of the views' rows, which may have gaps between them */
    bool a_turned, b_turned;
    double scale;
} zs_matmul;

/* A norm of single samples. Its cells, whose mean and variance are taken, hold all positions of each of `groups` equal
   runs of channels or, by_position, all channels of each position. */
typedef struct zs_norm {
    zs_shape shape;
    int groups; /* 1 where by_position */
    bool by_position;
    double eps;
} zs_norm;

/* One term of a sum: coef * x, or coef * ((x - mean) * scale + beta) where bn is given. bn points to three runs of C
   reals for each group of `group` samples. */
typedef struct zs_term {
    zs_view x;
    double coef;
    const void *bn;
} zs_term;

typedef struct zs_kernels {
    const char *name;
    zs_dtype dtype;

    /* y[n,p,q,k] = bias[k]
                    + sum_{r,s,c} w[r,s,c,k] x[n, p*stride_h + r*dil_h - pad_h, q*stride_w + s*dil_w - pad_w, c] */
    size_t (*conv2d_packed_bytes)(const zs_conv2d *d, bool back);
    void (*conv2d_pack)(const zs_conv2d *d, const void *w, bool back, void *packed); /* for conv2d_fwd, or for the two
                                                                                        that make dx */
    size_t (*conv2d_scratch_bytes)(const zs_conv2d *d);
    void (*conv2d_fwd)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const void *packed, const void *bias,
                       const zs_view *y, void *scratch); /* bias: K reals or NULL */
    /* dx: overwritten or, if `add`, added to; where d->relu, only at x > 0 or NaN (x is read for that alone) */
    void (*conv2d_bwd_x)(const zs_conv2d *d, int n0, int n1, const zs_view *dy, const void *packed, const zs_view *x,
                         const zs_view *dx, bool add, void *scratch);
    void (*conv2d_bwd_w)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy, void *dw, void *db,
                         void *scratch); /* db: K reals or NULL */

    /* The algorithm that the slots above use for these dims. */
    zs_algo (*conv2d_algo)(const zs_conv2d *d);
    /* Optional (NULL): both gradients of the block at once where conv2d_algo is not direct; arguments as above. */
    void (*conv2d_bwd)(const zs_conv2d *d, int n0, int n1, const zs_view *x, const zs_view *dy, const void *packed,
                       const zs_view *dx, bool add, void *dw, void *db, void *scratch);

    /* mean and sum of squared deviations of x per channel over the block; runs of up to 128 pixels may add up in real,
       all else in double */
    void (*bn_stats)(zs_shape s, int n0, int n1, const zs_view *x, double *mean, double *m2);
    /* y = (x - mean) * scale + beta with coef = {mean[C], scale[C], beta[C]} */
    void (*bn_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const void *coef, const zs_view *y);
    /* s1 = sum dy, s2 = sum dy * (x - mean), per channel, likewise */
    void (*bn_bwd_sums)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef, double *s1,
                        double *s2);
    /* dx = a * dy - b - c * (x - mean) with coef = {mean[C], a[C], b[C], c[C]}; dx may be x itself; `add`: added to */
    void (*bn_bwd_x)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *x, const void *coef,
                     const zs_view *dx, bool add);
    void (*cast)(size_t n, const double *from, void *to); /* double -> real */

    void (*relu_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*relu_bwd)(zs_shape s, int n0, int n1, const zs_view *y, const zs_view *dy, const zs_view *dx, bool add);
    /* f: ZS_OP_RELU6 to ZS_OP_TANH. x is read through a batch norm where bn is given, as zs_term says.
       y = f(x); dx = f'(x) dy; dx = f''(x) t dy. What a factor of 0 stops is 0, whatever dy is, where f is made of
       lines. */
    void (*activation_fwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x, const void *bn,
                           const zs_view *y);
    void (*activation_bwd)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x, const void *bn,
                           const zs_view *dy, const zs_view *dx, bool add);
    void (*activation_bwd2)(zs_op_kind f, zs_shape s, int n0, int n1, int group, const zs_view *x, const void *bn,
                            const zs_view *t, const zs_view *dy, const zs_view *dx, bool add);
    void (*max_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*max_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *dy, const zs_view *dx,
                         bool add);
    /* y = t where the maximum of x is, 0 where a window is empty */
    void (*max_pool_gate)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *t, const zs_view *y);
    void (*avg_pool_fwd)(const zs_pool *d, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*avg_pool_bwd)(const zs_pool *d, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add);
    void (*gap_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*gap_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add);
    void (*sum_fwd)(zs_shape s, int n0, int n1, int group, int n_terms, const zs_term *terms, const zs_view *y);
    /* y = coef * x or, if `add`, y += coef * x; x*0 keeps NaN */
    void (*scale)(zs_shape s, int n0, int n1, const zs_view *x, double coef, const zs_view *y, bool add);
    /* y = a * b of s; b has s.C channels or, if `one_channel`, one; strides of 0 repeat its rows or columns */
    void (*multiply)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *b, bool one_channel, const zs_view *y,
                     bool add);
    /* db = sum of a * dy over the axes that db has once: those where its shape t differs from s; runs of up to 128
       products may add up in real, all else in double */
    void (*multiply_sums)(zs_shape s, zs_shape t, int n0, int n1, const zs_view *a, const zs_view *dy,
                          const zs_view *db, bool add);
    void (*fill_zero)(zs_shape s, int n0, int n1, const zs_view *y);

    /* `add`: y is added to */
    size_t (*matmul_scratch_bytes)(const zs_matmul *d);
    void (*matmul)(const zs_matmul *d, int n0, int n1, const zs_view *a, const zs_view *b, const zs_view *y, bool add,
                   void *scratch);
    /* y[c * H * W + p] = x[p, c] */
    void (*flatten_fwd)(zs_shape s, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*flatten_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, const zs_view *dx, bool add);
    /* y[p, c] = bias[p]; db[p] = sum over samples and channels of dy, in double */
    void (*spatial_bias_fwd)(zs_shape s, int n0, int n1, const void *bias, const zs_view *y);
    void (*spatial_bias_bwd)(zs_shape s, int n0, int n1, const zs_view *dy, void *db);
    void (*scale_channels)(zs_shape s, int n0, int n1, const zs_view *x, const void *scale, const zs_view *y, bool add);

    /* Softmax of each of `groups` equal runs of channels at each position; gradient dx = y (dy - sum(y dy)) or, which
       is the same, tangent; and for t in place of dy, with its own gradient dy, the gradient of that by y:
       dx = dy (t - sum(y t)) - t sum(y dy) */
    void (*softmax_fwd)(zs_shape s, int groups, int n0, int n1, const zs_view *x, const zs_view *y);
    void (*softmax_bwd)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *dy, const zs_view *dx,
                        bool add);
    void (*softmax_curve)(zs_shape s, int groups, int n0, int n1, const zs_view *y, const zs_view *t, const zs_view *dy,
                          const zs_view *dx, bool add);

    /* With mean and variance of each cell (in double), r = 1 / sqrt(var + eps), xhat = (x - mean) r, and gamma, beta by
       channel or NULL: y = gamma xhat + beta */
    void (*norm_fwd)(const zs_norm *d, int n0, int n1, const zs_view *x, const void *gamma, const void *beta,
                     const zs_view *y);
    /* y = outer r (v - mean(v) - xhat mean(v xhat)) of v = inner v: the gradient (inner = gamma), or the tangent */
    void (*norm_project)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *v, const void *inner,
                         const void *outer, const zs_view *y, bool add);
    /* sums over the block: C doubles each */
    void (*norm_bwd_params)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *dy, double *d_gamma,
                            double *d_beta);
    /* the gradient by x of the tangent along t whose own is dy; with v = gamma dy, q = mean(v xhat), m1 = mean(t),
       m2 = mean(t xhat), k = mean(v (t - m1)):
       dx = -r^2 (q (t - m1) + m2 (v - mean(v)) + xhat (k - 3 m2 q)) */
    void (*norm_curve)(const zs_norm *d, int n0, int n1, const zs_view *x, const zs_view *t, const zs_view *dy,
                       const void *gamma, const zs_view *dx, bool add);

    /* Losses of single samples (double) and dlogits = dloss/dlogits * weight. */
    void (*cross_entropy)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight,
                          double *loss, const zs_view *dlogits);
    void (*sum_logits)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight, double *loss,
                       const zs_view *dlogits);

    /* Derivative of cross-entropy along a tangent: rows of logits are z[K] and their tangents t[K], likewise dlogits;
       with p = softmax(z): loss = sum_k (p_k - [k is the label]) t_k */
    void (*cross_entropy_tangent)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight,
                                  double *loss, const zs_view *dlogits);

    /* out[i] = sum over parts in their order; parts lie `stride` elements apart; out may be part 0 */
    void (*join)(size_t n, int n_parts, size_t stride, const void *parts, void *out);

    /* Statistics over gradients; all states are per weight unless said otherwise. */
    /* count = groups seen before this one; Welford. With `sum` (n doubles) the running sum is observed. */
    void (*moments)(size_t n, const void *g, int64_t count, double *mean, double *m2, double *sum);
    /* sign sums; |g| <= tol counts as 0; NaN too */
    void (*signs)(size_t n, const void *g, double tol, int32_t *sum);
    /* counts[e] += number of edges[e] <= |g| < edges[e+1], e < n_edges - 1, edges rounded to real; NaN falls nowhere */
    void (*histogram)(size_t n, const void *g, int n_edges, const double *edges, int64_t *counts);
    /* counts[i] += values whose binary exponent is i - 1100 (0: zeros; subnormals count as theirs); 2200 counters */
    void (*exponents)(size_t n, const void *g, int64_t *counts);
    /* bits[i / 64] bit i % 64 = g[i] > 0; all of the (n + 63) / 64 words are written */
    void (*positive_bits)(size_t n, const void *g, uint64_t *bits);
    /* number of bits in which two runs of words differ */
    int64_t (*hamming)(size_t n_words, const uint64_t *a, const uint64_t *b);
    /* sums[n - n0][c] = sum over pixels of a * d, products and sums in double */
    void (*product_sums)(zs_shape s, int n0, int n1, const zs_view *a, const zs_view *d, double *sums);
    double (*dot)(size_t n, const void *x, const void *y); /* sum of products, both in double */
    size_t (*count_nonfinite)(size_t n, const void *g);
    size_t (*count_nonzero)(size_t n, const void *g); /* NaN counts */

    /* Python's side: n x C x H x W, C order, to a view, and O x I x R x S to and from R x S x I x O */
    void (*load_images)(zs_shape s, int n, zs_dtype dtype, const void *x, const zs_view *y);
    void (*load_weight)(const zs_tensor *t, zs_dtype dtype, const void *w, void *out);
    void (*store_weight)(const zs_tensor *t, const void *w, double *out);
    void (*store_vector)(size_t n, const void *w, double *out);
} zs_kernels;

/* What a device is to the engine: kernels, memory, synchronisation. */
typedef struct zs_backend {
    const char *name; /* "cpu" */
    bool (*kernels)(const struct zs_backend *self, zs_dtype dtype, const char *table, zs_kernels *out);
    void *(*alloc)(const struct zs_backend *self, size_t n_bytes); /* 64-byte aligned, NULL if there is none */
    void (*free)(const struct zs_backend *self, void *p);
    void (*zero)(const struct zs_backend *self, void *p, size_t n_bytes);
    zs_status (*sync)(const struct zs_backend *self, zs_error *err);
} zs_backend;

#endif
