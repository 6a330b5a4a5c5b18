"""The table of hot loops (see _simd.h), and one wrapper each that picks the loop of the right type."""

from cython cimport floating
from libc.stdint cimport int32_t


cdef extern from "_simd.h" nogil:
    const int32_t TEXTCNN_NO_WINDOW
    const int TEXTCNN_N_ACTIVATIONS, TEXTCNN_N_LOSSES

    ctypedef struct simd_table:
        const char *level
        Py_ssize_t panel_width_f32
        Py_ssize_t panel_width_f64
        void (*pack_panel_f32)(Py_ssize_t, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                               float *) noexcept nogil
        void (*pack_panel_f64)(Py_ssize_t, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                               double *) noexcept nogil
        void (*gemm_panel_f32)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                               const float *, float *, Py_ssize_t, const float *, int) noexcept nogil
        void (*gemm_panel_f64)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                               const double *, double *, Py_ssize_t, const double *, int) noexcept nogil
        void (*conv_max_f32)(const float **, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                             Py_ssize_t, Py_ssize_t, const float *, int, float *, int32_t *) noexcept nogil
        void (*conv_max_f64)(const double **, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                             Py_ssize_t, Py_ssize_t, const double *, int, double *, int32_t *) noexcept nogil
        void (*weighted_sum_f32)(Py_ssize_t, const float **, const float *, int, Py_ssize_t,
                                 float *) noexcept nogil
        void (*weighted_sum_f64)(Py_ssize_t, const double **, const double *, int, Py_ssize_t,
                                 double *) noexcept nogil
        void (*add_squares_f32)(Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t, double *) noexcept nogil
        void (*add_squares_f64)(Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t, double *) noexcept nogil
        void (*filter_inputs_f32)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const float **, Py_ssize_t,
                                  float *) noexcept nogil
        void (*filter_outputs_f32)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const float *, Py_ssize_t, float **,
                                   const float *, const float **, const float **) noexcept nogil
        void (*filter_input_f32)(Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float **, Py_ssize_t,
                                 float *) noexcept nogil
        void (*filter_delta_f32)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const float **, Py_ssize_t, float *,
                                 Py_ssize_t) noexcept nogil
        void (*filter_inputs_f64)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const double **, Py_ssize_t,
                                  double *) noexcept nogil
        void (*filter_outputs_f64)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const double *, Py_ssize_t, double **,
                                   const double *, const double **, const double **) noexcept nogil
        void (*filter_input_f64)(Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double **, Py_ssize_t,
                                 double *) noexcept nogil
        void (*filter_delta_f64)(Py_ssize_t, Py_ssize_t, Py_ssize_t, const double **, Py_ssize_t, double *,
                                 Py_ssize_t) noexcept nogil
        void (*adam_row_f32)(Py_ssize_t, float *, const float *, float *, float *, float, double, double,
                             float, float, float, float) noexcept nogil
        void (*adam_row_f64)(Py_ssize_t, double *, const double *, double *, double *, double, double,
                             double, double, double, double, double) noexcept nogil
        void (*adadelta_row_f32)(Py_ssize_t, float *, const float *, float *, float *, float, double,
                                 float, float, float) noexcept nogil
        void (*adadelta_row_f64)(Py_ssize_t, double *, const double *, double *, double *, double, double,
                                 double, double, double) noexcept nogil
        void (*sgd_row_f32)(Py_ssize_t, float *, const float *, float *, float, float, int, float,
                            float) noexcept nogil
        void (*sgd_row_f64)(Py_ssize_t, double *, const double *, double *, double, double, int, double,
                            double) noexcept nogil
        void (*activation_f32)(int, Py_ssize_t, const float *, double, float *) noexcept nogil
        void (*activation_f64)(int, Py_ssize_t, const double *, double, double *) noexcept nogil
        void (*activation_backward_f32)(int, Py_ssize_t, const float *, const float *, double,
                                        float *) noexcept nogil
        void (*activation_backward_f64)(int, Py_ssize_t, const double *, const double *, double,
                                        double *) noexcept nogil
        void (*log_softmax_row_f32)(Py_ssize_t, const float *, float *) noexcept nogil
        void (*log_softmax_row_f64)(Py_ssize_t, const double *, double *) noexcept nogil
        void (*softmax_backward_row_f32)(Py_ssize_t, const float *, const float *, float *) noexcept nogil
        void (*softmax_backward_row_f64)(Py_ssize_t, const double *, const double *, double *) noexcept nogil
        void (*log_softmax_backward_row_f32)(Py_ssize_t, const float *, const float *, float *) noexcept nogil
        void (*log_softmax_backward_row_f64)(Py_ssize_t, const double *, const double *,
                                             double *) noexcept nogil
        void (*loss_f32)(int, Py_ssize_t, const float *, const float *, const float *, double,
                         float *) noexcept nogil
        void (*loss_f64)(int, Py_ssize_t, const double *, const double *, const double *, double,
                         double *) noexcept nogil
        void (*loss_backward_f32)(int, Py_ssize_t, const float *, double, const float *, const float *,
                                  const float *, double, float *, float *) noexcept nogil
        void (*loss_backward_f64)(int, Py_ssize_t, const double *, double, const double *, const double *,
                                  const double *, double, double *, double *) noexcept nogil
        void (*softmax_row_f32)(Py_ssize_t, const float *, float *) noexcept nogil
        double (*cross_entropy_row_f32)(Py_ssize_t, const float *, const float *, const float *,
                                        const float *, Py_ssize_t, double) noexcept nogil
        void (*cross_entropy_backward_row_f32)(double, Py_ssize_t, const float *, const float *,
                                               const float *, const float *, Py_ssize_t, double, float *,
                                               float *) noexcept nogil
        double (*sum_f32)(Py_ssize_t, const float *) noexcept nogil
        void (*softmax_row_f64)(Py_ssize_t, const double *, double *) noexcept nogil
        double (*cross_entropy_row_f64)(Py_ssize_t, const double *, const double *, const double *,
                                        const double *, Py_ssize_t, double) noexcept nogil
        void (*cross_entropy_backward_row_f64)(double, Py_ssize_t, const double *, const double *,
                                               const double *, const double *, Py_ssize_t, double, double *,
                                               double *) noexcept nogil
        double (*sum_f64)(Py_ssize_t, const double *) noexcept nogil
        int (*all_within_f32)(Py_ssize_t, const float *, double, double) noexcept nogil
        int (*all_within_f64)(Py_ssize_t, const double *, double, double) noexcept nogil


cdef const simd_table* active_table() noexcept nogil


cdef inline Py_ssize_t panel_width(const simd_table *table, const floating *like) noexcept nogil:
    if floating is float:
        return table.panel_width_f32
    else:
        return table.panel_width_f64


cdef inline void pack_panel(
    const simd_table *table, Py_ssize_t k, Py_ssize_t n, const floating *b, Py_ssize_t row_stride,
    Py_ssize_t col_stride, floating *panel,
) noexcept nogil:
    if floating is float:
        table.pack_panel_f32(k, n, b, row_stride, col_stride, panel)
    else:
        table.pack_panel_f64(k, n, b, row_stride, col_stride, panel)


cdef inline void gemm_panel(
    const simd_table *table, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const floating *a,
    Py_ssize_t row_stride, Py_ssize_t col_stride, const floating *panel, floating *c, Py_ssize_t ldc,
    const floating *bias, bint relu,
) noexcept nogil:
    if floating is float:
        table.gemm_panel_f32(m, n, k, a, row_stride, col_stride, panel, c, ldc, bias, relu)
    else:
        table.gemm_panel_f64(m, n, k, a, row_stride, col_stride, panel, c, ldc, bias, relu)


cdef inline void conv_max(
    const simd_table *table, const floating **rows, Py_ssize_t n_tokens, Py_ssize_t width,
    Py_ssize_t pad_left, Py_ssize_t n_windows, Py_ssize_t n_filters, Py_ssize_t block,
    Py_ssize_t tap_stride, const floating *bias, bint relu, floating *out, int32_t *argmax,
) noexcept nogil:
    if floating is float:
        table.conv_max_f32(rows, n_tokens, width, pad_left, n_windows, n_filters, block, tap_stride, bias,
                           relu, out, argmax)
    else:
        table.conv_max_f64(rows, n_tokens, width, pad_left, n_windows, n_filters, block, tap_stride, bias,
                           relu, out, argmax)


cdef inline void weighted_sum(
    const simd_table *table, Py_ssize_t n_entries, const floating **rows, const floating *values,
    bint resume, Py_ssize_t d, floating *out,
) noexcept nogil:
    if floating is float:
        table.weighted_sum_f32(n_entries, rows, values, resume, d, out)
    else:
        table.weighted_sum_f64(n_entries, rows, values, resume, d, out)


cdef inline void add_squares(
    const simd_table *table, Py_ssize_t n_rows, const floating *x, Py_ssize_t row_stride, Py_ssize_t width,
    double *total,
) noexcept nogil:
    if floating is float:
        table.add_squares_f32(n_rows, x, row_stride, width, total)
    else:
        table.add_squares_f64(n_rows, x, row_stride, width, total)


cdef inline void filter_inputs(
    const simd_table *table, Py_ssize_t outputs, Py_ssize_t products, Py_ssize_t n_tiles,
    const floating **rows, Py_ssize_t c, floating *inputs,
) noexcept nogil:
    if floating is float:
        table.filter_inputs_f32(outputs, products, n_tiles, rows, c, inputs)
    else:
        table.filter_inputs_f64(outputs, products, n_tiles, rows, c, inputs)


cdef inline void filter_outputs(
    const simd_table *table, Py_ssize_t outputs, Py_ssize_t n_products, Py_ssize_t n_tiles,
    const floating *products, Py_ssize_t f, floating **rows, const floating *bias,
    const floating **added, const floating **gates,
) noexcept nogil:
    if floating is float:
        table.filter_outputs_f32(outputs, n_products, n_tiles, products, f, rows, bias, added, gates)
    else:
        table.filter_outputs_f64(outputs, n_products, n_tiles, products, f, rows, bias, added, gates)


cdef inline void filter_input(
    const simd_table *table, Py_ssize_t outputs, Py_ssize_t products, Py_ssize_t k, Py_ssize_t n_tiles,
    const floating **rows, Py_ssize_t c, floating *input,
) noexcept nogil:
    if floating is float:
        table.filter_input_f32(outputs, products, k, n_tiles, rows, c, input)
    else:
        table.filter_input_f64(outputs, products, k, n_tiles, rows, c, input)


cdef inline void filter_delta(
    const simd_table *table, Py_ssize_t outputs, Py_ssize_t k, Py_ssize_t n_tiles, const floating **rows,
    Py_ssize_t f, floating *panels, Py_ssize_t panel_stride,
) noexcept nogil:
    if floating is float:
        table.filter_delta_f32(outputs, k, n_tiles, rows, f, panels, panel_stride)
    else:
        table.filter_delta_f64(outputs, k, n_tiles, rows, f, panels, panel_stride)


cdef inline void adam_row(
    const simd_table *table, Py_ssize_t d, floating *param, const floating *grad, floating *first,
    floating *second, floating rate, double beta1, double beta2, floating correction2,
    floating epsilon, floating scale, floating l2,
) noexcept nogil:
    if floating is float:
        table.adam_row_f32(d, param, grad, first, second, rate, beta1, beta2, correction2, epsilon, scale,
                           l2)
    else:
        table.adam_row_f64(d, param, grad, first, second, rate, beta1, beta2, correction2, epsilon, scale,
                           l2)


cdef inline void adadelta_row(
    const simd_table *table, Py_ssize_t d, floating *param, const floating *grad, floating *acc_grad,
    floating *acc_update, floating rate, double rho, floating epsilon, floating scale, floating l2,
) noexcept nogil:
    if floating is float:
        table.adadelta_row_f32(d, param, grad, acc_grad, acc_update, rate, rho, epsilon, scale, l2)
    else:
        table.adadelta_row_f64(d, param, grad, acc_grad, acc_update, rate, rho, epsilon, scale, l2)


cdef inline void sgd_row(
    const simd_table *table, Py_ssize_t d, floating *param, const floating *grad, floating *velocity,
    floating rate, floating momentum, bint nesterov, floating scale, floating l2,
) noexcept nogil:
    if floating is float:
        table.sgd_row_f32(d, param, grad, velocity, rate, momentum, nesterov, scale, l2)
    else:
        table.sgd_row_f64(d, param, grad, velocity, rate, momentum, nesterov, scale, l2)


cdef inline void activation(
    const simd_table *table, int number, Py_ssize_t n, const floating *x, double parameter, floating *out,
) noexcept nogil:
    if floating is float:
        table.activation_f32(number, n, x, parameter, out)
    else:
        table.activation_f64(number, n, x, parameter, out)


cdef inline void activation_backward(
    const simd_table *table, int number, Py_ssize_t n, const floating *d_out, const floating *x,
    double parameter, floating *d_x,
) noexcept nogil:
    if floating is float:
        table.activation_backward_f32(number, n, d_out, x, parameter, d_x)
    else:
        table.activation_backward_f64(number, n, d_out, x, parameter, d_x)


cdef inline void log_softmax_row(
    const simd_table *table, Py_ssize_t c, const floating *x, floating *out,
) noexcept nogil:
    if floating is float:
        table.log_softmax_row_f32(c, x, out)
    else:
        table.log_softmax_row_f64(c, x, out)


cdef inline void softmax_backward_row(
    const simd_table *table, Py_ssize_t c, const floating *d_out, const floating *out, floating *d_x,
) noexcept nogil:
    if floating is float:
        table.softmax_backward_row_f32(c, d_out, out, d_x)
    else:
        table.softmax_backward_row_f64(c, d_out, out, d_x)


cdef inline void log_softmax_backward_row(
    const simd_table *table, Py_ssize_t c, const floating *d_out, const floating *x, floating *d_x,
) noexcept nogil:
    if floating is float:
        table.log_softmax_backward_row_f32(c, d_out, x, d_x)
    else:
        table.log_softmax_backward_row_f64(c, d_out, x, d_x)


cdef inline void loss(
    const simd_table *table, int number, Py_ssize_t n, const floating *predictions, const floating *targets,
    const floating *weights, double parameter, floating *out,
) noexcept nogil:
    if floating is float:
        table.loss_f32(number, n, predictions, targets, weights, parameter, out)
    else:
        table.loss_f64(number, n, predictions, targets, weights, parameter, out)


cdef inline void loss_backward(
    const simd_table *table, int number, Py_ssize_t n, const floating *d_loss, double scale,
    const floating *predictions, const floating *targets, const floating *weights, double parameter,
    floating *d_predictions, floating *d_targets,
) noexcept nogil:
    if floating is float:
        table.loss_backward_f32(number, n, d_loss, scale, predictions, targets, weights, parameter,
                                d_predictions, d_targets)
    else:
        table.loss_backward_f64(number, n, d_loss, scale, predictions, targets, weights, parameter,
                                d_predictions, d_targets)


cdef inline int all_within(
    const simd_table *table, Py_ssize_t n, const floating *x, double least, double most,
) noexcept nogil:
    if floating is float:
        return table.all_within_f32(n, x, least, most)
    else:
        return table.all_within_f64(n, x, least, most)


cdef inline void softmax_row(
    const simd_table *table, Py_ssize_t c, const floating *x, floating *out,
) noexcept nogil:
    if floating is float:
        table.softmax_row_f32(c, x, out)
    else:
        table.softmax_row_f64(c, x, out)


cdef inline double cross_entropy_row(
    const simd_table *table, Py_ssize_t c, const floating *x, const floating *probabilities,
    const floating *scale, const floating *shift, Py_ssize_t target, double weight,
) noexcept nogil:
    if floating is float:
        return table.cross_entropy_row_f32(c, x, probabilities, scale, shift, target, weight)
    else:
        return table.cross_entropy_row_f64(c, x, probabilities, scale, shift, target, weight)


cdef inline void cross_entropy_backward_row(
    const simd_table *table, double d_loss, Py_ssize_t c, const floating *x, const floating *probabilities,
    const floating *scale, const floating *shift, Py_ssize_t target, double weight, floating *d_x,
    floating *d_probabilities,
) noexcept nogil:
    if floating is float:
        table.cross_entropy_backward_row_f32(d_loss, c, x, probabilities, scale, shift, target, weight, d_x,
                                             d_probabilities)
    else:
        table.cross_entropy_backward_row_f64(d_loss, c, x, probabilities, scale, shift, target, weight, d_x,
                                             d_probabilities)


cdef inline double sum(const simd_table *table, Py_ssize_t n, const floating *x) noexcept nogil:
    if floating is float:
        return table.sum_f32(n, x)
    else:
        return table.sum_f64(n, x)
