/* One instruction-set level of the hot loops; setup.py defines TEXTCNN_LEVEL(_NAME). */

#include "_simd.h"

#include <math.h>
#include <string.h>

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define INDEPENDENT _Pragma("GCC ivdep")
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_ROWS 12 /* 12 x 2 sums and 2 vectors of b, of 32 registers */
#define MAX_VECTORS 16
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_ROWS 6 /* 6 x 2 sums, 2 of b and 1 broadcast, of 16 registers */
#define MAX_VECTORS 12
#else
#define VECTOR_BYTES 16
#define TILE_ROWS 6
#define MAX_VECTORS 12
#endif
#else
/* Compilers without vector extensions: a "vector" is one number, the code stays the same. */
#define INLINE static __inline
#define UNROLL
#define INDEPENDENT
#define TILE_ROWS 4
#define MAX_VECTORS 12
#define restrict __restrict
#endif

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#define REAL float
#define INT int32_t
#define SUFFIX f32
#define SQRT sqrtf
#include "_simd_template.h"
#undef REAL
#undef INT
#undef SUFFIX
#undef SQRT

#define REAL double
#define INT int64_t
#define SUFFIX f64
#define SQRT sqrt
#include "_simd_template.h"

const simd_table PASTE(textcnn_simd, TEXTCNN_LEVEL) = {
    TEXTCNN_LEVEL_NAME,
    PANEL_WIDTH(float), pack_panel_f32, gemm_panel_f32, conv_max_f32, weighted_sum_f32, add_squares_f32,
    filter_inputs_f32, filter_outputs_f32, filter_input_f32, filter_delta_f32,
    adam_row_f32, adadelta_row_f32, sgd_row_f32,
    activation_f32, activation_backward_f32, softmax_row_f32, log_softmax_row_f32,
    softmax_backward_row_f32, log_softmax_backward_row_f32, cross_entropy_row_f32,
    cross_entropy_backward_row_f32, sum_f32, loss_f32, loss_backward_f32, all_within_f32,
    PANEL_WIDTH(double), pack_panel_f64, gemm_panel_f64, conv_max_f64, weighted_sum_f64, add_squares_f64,
    filter_inputs_f64, filter_outputs_f64, filter_input_f64, filter_delta_f64,
    adam_row_f64, adadelta_row_f64, sgd_row_f64,
    activation_f64, activation_backward_f64, softmax_row_f64, log_softmax_row_f64,
    softmax_backward_row_f64, log_softmax_backward_row_f64, cross_entropy_row_f64,
    cross_entropy_backward_row_f64, sum_f64, loss_f64, loss_backward_f64, all_within_f64,
};
