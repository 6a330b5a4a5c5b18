/* The hot loops, compiled once per instruction-set level behind a table of function pointers.

   `_simd_kernels.c` is compiled for the compiler's default target ("generic") and, on x86-64, for
   the levels x86-64-v2, -v3 and -v4. `_simd.pyx` chooses a table when it is imported. Everything
   here works on one piece of work in one thread; the Cython modules split the work.

   Two properties hold on every level: the arithmetic of one output row never depends on the other
   rows of the call, and sums run in one fixed order. */

#ifndef TEXTCNN_SIMD_H
#define TEXTCNN_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* argmax of a text without a window, or of a filter that ReLU switched off everywhere. */
#define TEXTCNN_NO_WINDOW INT32_MIN

/* The numbers of the activations and of the losses of single elements. */
enum {
    TEXTCNN_RELU, TEXTCNN_LEAKY_RELU, TEXTCNN_GELU, TEXTCNN_GELU_TANH, TEXTCNN_TANH, TEXTCNN_SIGMOID,
    TEXTCNN_N_ACTIVATIONS
};
enum { TEXTCNN_MSE, TEXTCNN_HUBER, TEXTCNN_BCE, TEXTCNN_N_LOSSES };

#define TEXTCNN_KERNELS(REAL, SUFFIX)                                                              \
    /* Columns of one packed panel of the right-hand matrix. */                                    \
    ptrdiff_t panel_width_##SUFFIX;                                                                \
    /* panel (k, panel_width) <- b (k, n), n <= panel_width, missing columns zero. */              \
    void (*pack_panel_##SUFFIX)(ptrdiff_t k, ptrdiff_t n, const REAL *b, ptrdiff_t row_stride,     \
                                ptrdiff_t col_stride, REAL *panel);                                \
    /* c (m, n) = a (m, k) panel + bias, then ReLU if `relu`; bias may be NULL. */                 \
    void (*gemm_panel_##SUFFIX)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a,              \
                                ptrdiff_t row_stride, ptrdiff_t col_stride, const REAL *panel,     \
                                REAL *c, ptrdiff_t ldc, const REAL *bias, int relu);               \
    /* One text, one kernel width: out (f) = max over windows of bias + sum of taps. rows[t] is    \
       the projected row of token t; tap j of the first filter stands at block + j * tap_stride. */ \
    void (*conv_max_##SUFFIX)(const REAL *const *rows, ptrdiff_t n_tokens, ptrdiff_t width,        \
                              ptrdiff_t pad_left, ptrdiff_t n_windows, ptrdiff_t n_filters,        \
                              ptrdiff_t block, ptrdiff_t tap_stride, const REAL *bias, int relu,   \
                              REAL *out, int32_t *argmax);                                         \
    /* out (d) = sum over e of values[e] * rows[e][0:d], added to out's own values if `resume`. */ \
    void (*weighted_sum_##SUFFIX)(ptrdiff_t n_entries, const REAL *const *rows,                    \
                                  const REAL *values, int resume, ptrdiff_t d, REAL *out);         \
    void (*add_squares_##SUFFIX)(ptrdiff_t n_rows, const REAL *x, ptrdiff_t row_stride,            \
                                 ptrdiff_t width, double *total);                                  \
    /* Convolution by minimal filtering: see the template. */                                      \
    void (*filter_inputs_##SUFFIX)(ptrdiff_t outputs, ptrdiff_t products, ptrdiff_t n_tiles,       \
                                   const REAL *const *rows, ptrdiff_t c, REAL *inputs);            \
    void (*filter_outputs_##SUFFIX)(ptrdiff_t outputs, ptrdiff_t n_products, ptrdiff_t n_tiles,    \
                                    const REAL *products, ptrdiff_t f, REAL *const *rows,          \
                                    const REAL *bias, const REAL *const *added,                    \
                                    const REAL *const *gates);                                     \
    void (*filter_input_##SUFFIX)(ptrdiff_t outputs, ptrdiff_t products, ptrdiff_t k,              \
                                  ptrdiff_t n_tiles, const REAL *const *rows, ptrdiff_t c,         \
                                  REAL *input);                                                    \
    void (*filter_delta_##SUFFIX)(ptrdiff_t outputs, ptrdiff_t k, ptrdiff_t n_tiles,               \
                                  const REAL *const *rows, ptrdiff_t f, REAL *panels,              \
                                  ptrdiff_t panel_stride);                                         \
    /* One row of an optimiser step; the formulas stand in `_optim.pyx`. */                        \
    void (*adam_row_##SUFFIX)(ptrdiff_t d, REAL *param, const REAL *grad, REAL *first,             \
                              REAL *second, REAL rate, double beta1, double beta2,                 \
                              REAL correction2,                                                    \
                              REAL epsilon, REAL scale, REAL l2);                                  \
    void (*adadelta_row_##SUFFIX)(ptrdiff_t d, REAL *param, const REAL *grad, REAL *acc_grad,      \
                                  REAL *acc_update, REAL rate, double rho, REAL epsilon,           \
                                  REAL scale,                                                      \
                                  REAL l2);                                                        \
    void (*sgd_row_##SUFFIX)(ptrdiff_t d, REAL *param, const REAL *grad, REAL *velocity,           \
                             REAL rate, REAL momentum, int nesterov, REAL scale, REAL l2);             \
    /* out (n) = activation `number` of x (n); d_x = d_out times its derivative at x. */           \
    void (*activation_##SUFFIX)(int number, ptrdiff_t n, const REAL *x, double parameter, REAL *out);\
    void (*activation_backward_##SUFFIX)(int number, ptrdiff_t n, const REAL *d_out, const REAL *x,\
                                         double parameter, REAL *d_x);                             \
    /* Rows of softmax and of its logarithm, and their gradients; that of softmax takes its result  \
       `out` in place of x, and d_x may be `out`. */                                               \
    void (*softmax_row_##SUFFIX)(ptrdiff_t c, const REAL *x, REAL *out);                           \
    void (*log_softmax_row_##SUFFIX)(ptrdiff_t c, const REAL *x, REAL *out);                       \
    void (*softmax_backward_row_##SUFFIX)(ptrdiff_t c, const REAL *d_out, const REAL *out,        \
                                          REAL *d_x);                                              \
    void (*log_softmax_backward_row_##SUFFIX)(ptrdiff_t c, const REAL *d_out, const REAL *x,       \
                                              REAL *d_x);                                          \
    /* -(sum over k of q[k] log p[k]) - weight log p[target], p = softmax(x), and its gradients times\
       d_loss; q = scale probabilities + shift. Each of these may be NULL, d_probabilities too, and\
       target -1. */                                                                               \
    double (*cross_entropy_row_##SUFFIX)(ptrdiff_t c, const REAL *x, const REAL *probabilities,    \
                                         const REAL *scale, const REAL *shift, ptrdiff_t target,   \
                                         double weight);                                           \
    void (*cross_entropy_backward_row_##SUFFIX)(double d_loss, ptrdiff_t c, const REAL *x,         \
                                                const REAL *probabilities, const REAL *scale,      \
                                                const REAL *shift, ptrdiff_t target,               \
                                                double weight, REAL *d_x, REAL *d_probabilities);  \
    double (*sum_##SUFFIX)(ptrdiff_t n, const REAL *x);                                            \
    /* out (n) = loss `number` of each element; weights may be NULL: 1. */                         \
    void (*loss_##SUFFIX)(int number, ptrdiff_t n, const REAL *predictions, const REAL *targets,   \
                          const REAL *weights, double parameter, REAL *out);                       \
    /* The gradients, times d_loss (n), or times `scale` if d_loss is NULL. */                     \
    void (*loss_backward_##SUFFIX)(int number, ptrdiff_t n, const REAL *d_loss, double scale,      \
                                   const REAL *predictions, const REAL *targets,                   \
                                   const REAL *weights, double parameter, REAL *d_predictions,     \
                                   REAL *d_targets);                                               \
    /* 1 if least <= x[i] <= most for every i, else 0. */                                          \
    int (*all_within_##SUFFIX)(ptrdiff_t n, const REAL *x, double least, double most);

typedef struct {
    const char *level;
    TEXTCNN_KERNELS(float, f32)
    TEXTCNN_KERNELS(double, f64)
} simd_table;

/* The compiled tables, lowest level first, as far as this processor can run them; NULL ends them. */
const simd_table *const *textcnn_simd_tables(void);

#endif
