/* Activations, rows of softmax, and losses of single elements, for one type; part of _simd_template.h.

   Every element goes through the same vector code, whichever lane it falls into: the last elements of
   an array are copied into a full vector. The functions have no branch on values, NaN passes through
   every one of them, and none of them needs fused multiply-add for its accuracy. */

#ifndef TEXTCNN_COEFFICIENTS
#define TEXTCNN_COEFFICIENTS

#if defined(__AVX__)
#include <immintrin.h>
#endif

static const double inverse_factorials[] = {
    1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
    1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0,
};
static const double inverse_odd[] = {
    1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17,
    1.0 / 19, 1.0 / 21, 1.0 / 23, 1.0 / 25, 1.0 / 27, 1.0 / 29, 1.0 / 31, 1.0 / 33,
};
/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2: minimax, error of exp(r) 3e-9. */
static const double exp_f32[] = {
    0.4999999341216014, 0.16666520103720817, 0.04166839427204321, 0.008368780843482837,
    0.0013814464954269713,
};
/* tanh(x) = x P(x^2) / Q(x^2): minimax for |x| <= 9.02, relative error 2e-8. No sum of them cancels. */
static const double tanh_numerator[] = {
    0.9999999790230946, 0.1337971398662282, 0.0034940298329876793, 2.0583403312284427e-05,
    1.3318965757467206e-08,
};
static const double tanh_denominator[] = {
    1.0, 0.46713029229418235, 0.02587105528709518, 0.00032830850873066944, 7.761975489300816e-07,
};
/* Phi(x) - 1/2 = x P(x^2) / Q(x^2): minimax for |x| <= 5.2, error 3e-9. No sum of them cancels. */
static const double normal_numerator[] = {
    0.39894226103191993, 0.032544595642615415, 0.004608647342347807, 0.00015686195706204135,
    6.407887060321497e-06, 2.4731068870646677e-08,
};
static const double normal_denominator[] = {
    1.0, 0.24824354555233738, 0.027926712354523413, 0.001817204693365935, 7.049619705681069e-05,
    1.2588666668512793e-06,
};
/* (a + 4) exp(a^2 / 2) Phi(-a) for a >= 0 as polynomials in t = (a - 4) / (a + 4), the variable of
   Shepherd & Laframboise (1981, Mathematics of Computation 36, 249-253), who approximate erfc so.
   In single precision minimax for a <= 14.42, relative error 9e-9; in double Chebyshev interpolation in 60
   digits, 2e-16. */
static const double tail_f32[] = {
    0.7552851354000467, -0.6078965896583661, 0.38713689900162196, -0.1865234052271964,
    0.06040388335582164, -0.007525490931408471, -0.003512937362190362, 0.0015702024842143875,
    0.00018015723874692158, -0.0001315961214148085,
};
static const double tail_f64[] = {
    0.7552851304157515, -0.6078966419718931, 0.38713740074221653, -0.1865218579595672,
    0.0603965748907624, -0.007540188969137313, -0.0034796923628903557, 0.0016308184878823643,
    0.00013334425890372837, -0.0002310951507876874, -1.9079074883936755e-06, 3.514564458582385e-05,
    7.152737509308815e-07, -5.9229798276747605e-06, -6.2620687669596e-07, 1.0270948807114341e-06,
    2.662327898883562e-07, -1.6231917680473566e-07, -7.98985075256226e-08, 1.9608339140939514e-08,
    1.6536044775506402e-08, -1.2845818869925269e-09, -1.7737405043949108e-09,
};

#define SINGLE(T) (sizeof(T) == sizeof(float))
/* Vectors whose sum is taken in REAL, before it is added to a sum in double. */
#define SUMMED_VECTORS 16
#endif

/* ---- vectors at the end of an array ----------------------------------------------------------- */

INLINE ptrdiff_t FN(filled)(ptrdiff_t n) { return n < LANES(REAL) ? n : LANES(REAL); }

/* p[0:n], and `fill` in the lanes beyond. */
INLINE VEC FN(load_some)(const REAL *p, ptrdiff_t n, REAL fill)
{
    if (n == LANES(REAL))
        return FN(load)(p);
    REAL lane[LANES(REAL)];
    for (ptrdiff_t l = 0; l < LANES(REAL); l++)
        lane[l] = fill;
    memcpy(lane, p, (size_t)n * sizeof(REAL));
    return FN(load)(lane);
}

INLINE void FN(store_some)(REAL *p, VEC v, ptrdiff_t n)
{
    if (n == LANES(REAL)) {
        FN(store)(p, v);
        return;
    }
    REAL lane[LANES(REAL)];
    FN(store)(lane, v);
    memcpy(p, lane, (size_t)n * sizeof(REAL));
}

/* Sum and maximum of the lanes: halves of the vector, halves of the halves, and so on. */
#if defined(__GNUC__)
typedef REAL FN(lanes32) __attribute__((vector_size(32)));
typedef REAL FN(lanes16) __attribute__((vector_size(16)));

#define FOLD(HALF, whole, half)                                                                    \
    HALF half, half##_upper;                                                                       \
    memcpy(&half, &whole, sizeof half);                                                            \
    memcpy(&half##_upper, (const char *)&whole + sizeof half, sizeof half);

INLINE double FN(lanes_sum)(VEC v)
{
#if VECTOR_BYTES == 64
    FOLD(FN(lanes32), v, half)
    half += half_upper;
    FOLD(FN(lanes16), half, quarter)
    quarter += quarter_upper;
#elif VECTOR_BYTES == 32
    FOLD(FN(lanes16), v, quarter)
    quarter += quarter_upper;
#else
    const VEC quarter = v;
#endif
    double sum = 0;
    UNROLL
    for (ptrdiff_t l = 0; l < (ptrdiff_t)(16 / sizeof(REAL)); l++)
        sum += quarter[l];
    return sum;
}
#undef FOLD
#else
INLINE double FN(lanes_sum)(VEC v) { return v; }
#endif

INLINE REAL FN(lanes_max)(VEC v)
{
#if defined(__AVX512F__)
    return SINGLE(REAL) ? (REAL)_mm512_reduce_max_ps((__m512)v) : (REAL)_mm512_reduce_max_pd((__m512d)v);
#endif
    REAL lane[LANES(REAL)];
    FN(store)(lane, v);
    UNROLL
    for (ptrdiff_t half = LANES(REAL) / 2; half > 0; half /= 2)
        UNROLL
        for (ptrdiff_t l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

/* ---- elementary functions --------------------------------------------------------------------- */

INLINE VEC FN(constant)(double c) { return (VEC){0} + (REAL)c; }

INLINE IVEC FN(bits)(VEC v)
{
    IVEC bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

INLINE VEC FN(of_bits)(IVEC bits)
{
    VEC v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

INLINE INT FN(sign_bit)(void) { return (INT)((uint64_t)1 << (8 * sizeof(INT) - 1)); }

INLINE VEC FN(absolute)(VEC x) { return FN(of_bits)(FN(bits)(x) & ~FN(sign_bit)()); }

/* |magnitude| with the sign of x. */
INLINE VEC FN(with_sign)(VEC magnitude, VEC x)
{
    return FN(of_bits)(FN(bits)(magnitude) | (FN(bits)(x) & FN(sign_bit)()));
}

/* The larger of `bound` and x, the smaller of them; NaN in x stays: the instructions give their second
   argument if the comparison is false. */
#if defined(__AVX512F__)
#define NATIVE(name) (SINGLE(REAL) ? (VEC)_mm512_##name##_ps((__m512)bound, (__m512)x)                  \
                                   : (VEC)_mm512_##name##_pd((__m512d)bound, (__m512d)x))
#elif defined(__AVX__)
#define NATIVE(name) (SINGLE(REAL) ? (VEC)_mm256_##name##_ps((__m256)bound, (__m256)x)                  \
                                   : (VEC)_mm256_##name##_pd((__m256d)bound, (__m256d)x))
#endif
INLINE VEC FN(larger)(VEC bound, VEC x)
{
#ifdef NATIVE
    return NATIVE(max);
#else
    return SELECT(VEC, bound > x, bound, x);
#endif
}

INLINE VEC FN(smaller)(VEC bound, VEC x)
{
#ifdef NATIVE
    return NATIVE(min);
#else
    return SELECT(VEC, bound < x, bound, x);
#endif
}
#undef NATIVE

INLINE VEC FN(at_least)(VEC x, REAL bound) { return FN(larger)(FN(constant)(bound), x); }

INLINE VEC FN(at_most)(VEC x, REAL bound) { return FN(smaller)(FN(constant)(bound), x); }

/* sum over k < n of coefficients[k] x^k */
INLINE VEC FN(polynomial)(const int n, const double *coefficients, VEC x)
{
    VEC sum = FN(constant)(coefficients[n - 1]);
    UNROLL
    for (int k = n - 2; k >= 0; k--)
        sum = sum * x + (REAL)coefficients[k];
    return sum;
}

/* y = n log 2 + r with the integer n nearest to y / log(2): r. *rounded is ROUND + n, so that its last bits
   are those of n. log 2 in two parts after Cody & Waite, from the exp and expf of the Cephes library
   (Moshier). */
#define LOG_2_HIGH ((REAL)(SINGLE(REAL) ? 0.693359375 : 6.93145751953125e-1))
#define LOG_2_LOW ((REAL)(SINGLE(REAL) ? -2.12194440e-4 : 1.42860682030941723212e-6))
#define ROUND ((REAL)(SINGLE(REAL) ? 0x1.8p23 : 0x1.8p52)) /* added and taken away: to the nearest integer */
INLINE VEC FN(reduce)(VEC y, VEC *rounded)
{
    *rounded = y * (REAL)1.4426950408889634074 + ROUND;
    const VEC n = *rounded - ROUND;
    return (y - n * LOG_2_HIGH) - n * LOG_2_LOW;
}

/* 2^(n + shift) for a normal result. */
INLINE VEC FN(power_of_two)(VEC rounded, int shift)
{
    const int mantissa = SINGLE(REAL) ? 23 : 52, bias = SINGLE(REAL) ? 127 : 1023;
    return FN(of_bits)((FN(bits)(rounded) - FN(bits)(FN(constant)(ROUND)) + (INT)(bias + shift)) << mantissa);
}

/* v 2^n for v between 1/2 and 2, subnormal results included. */
INLINE VEC FN(scaled)(VEC v, VEC rounded)
{
#if defined(__AVX512F__)
    const VEC n = rounded - ROUND;
    return SINGLE(REAL) ? (VEC)_mm512_scalef_ps((__m512)v, (__m512)n)
                        : (VEC)_mm512_scalef_pd((__m512d)v, (__m512d)n);
#else
    return v * FN(power_of_two)(rounded, SINGLE(REAL) ? 64 : 512) *
           (REAL)(SINGLE(REAL) ? 0x1p-64 : 0x1p-512);
#endif
}

/* exp(r) - 1 for |r| <= log(2) / 2 over r. */
INLINE VEC FN(expm1_ratio)(VEC r)
{
    return 1 + r * (SINGLE(REAL) ? FN(polynomial)(5, exp_f32, r) : FN(polynomial)(12, inverse_factorials + 2, r));
}

#define EXP_IS_0 ((REAL)(SINGLE(REAL) ? -104 : -746))

/* exp(r) 2^n for the reduced argument r. */
INLINE VEC FN(exp_reduced)(VEC r, VEC rounded) { return FN(scaled)(1 + r * FN(expm1_ratio)(r), rounded); }

/* exp(y) for y <= 0. */
INLINE VEC FN(exp_negative)(VEC y)
{
    VEC rounded;
    const VEC r = FN(reduce)(FN(at_least)(y, EXP_IS_0), &rounded);
    return FN(exp_reduced)(r, rounded);
}

/* 1 / d for d between 1 and 2000. Of single precision with AVX-512 an estimate of 14 bits and one step of
   Newton's method, error 1 ulp: a division of 16 numbers takes 16 cycles. (sigmoid: 177 in place of 213
   microseconds for a million numbers on two threads.) */
INLINE VEC FN(reciprocal)(VEC d)
{
#if defined(__AVX512F__)
    if (SINGLE(REAL)) {
        __m512 estimate = _mm512_rcp14_ps((__m512)d);
        return (VEC)estimate * (2 - d * (VEC)estimate);
    }
#endif
    return 1 / d;
}

/* exp(x - top) for x <= top. In double with the rounding error of the difference (Knuth's two-sum); in single
   precision that error costs up to |x - top| / 2 ulp of the result. */
INLINE VEC FN(exp_below)(VEC x, REAL top)
{
    const VEC difference = x - top;
    if (SINGLE(REAL))
        return FN(exp_negative)(difference);
    const VEC subtracted = difference - x;
    const VEC error = (x - (difference - subtracted)) - (top + subtracted);
    VEC rounded;
    const VEC r = FN(reduce)(FN(at_least)(difference, EXP_IS_0), &rounded);
    return FN(exp_reduced)(r + SELECT(VEC, difference < EXP_IS_0, (VEC){0}, error), rounded);
}

/* log(1 + e) for 0 <= e <= 1: 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = e / (2 + e). */
INLINE VEC FN(log1p_unit)(VEC e)
{
    const VEC s = e * FN(reciprocal)(2 + e);
    return 2 * s * FN(polynomial)(SINGLE(REAL) ? 8 : 17, inverse_odd, s * s);
}

/* exp(-a^2 / 2) for a^2 / 2 <= -EXP_IS_0, without the rounding error of the square. */
INLINE VEC FN(exp_half_square)(VEC a)
{
    VEC rounded;
#if defined(__AVX512F__)
    const VEC half = (REAL)-0.5 * a;
    (void)FN(reduce)(a * half, &rounded);
    const VEC n = rounded - ROUND, whole = n * LOG_2_HIGH;
    const VEC fraction = SINGLE(REAL) ? (VEC)_mm512_fmsub_ps((__m512)a, (__m512)half, (__m512)whole)
                                      : (VEC)_mm512_fmsub_pd((__m512d)a, (__m512d)half, (__m512d)whole);
    const VEC r = fraction - n * LOG_2_LOW;
#else
    /* a^2 = leading^2 + (a - leading) (a + leading); the square of half the digits is exact. */
    const VEC leading = FN(of_bits)(FN(bits)(a) & ~(INT)(SINGLE(REAL) ? 0xFFF : 0x7FFFFFF));
    const VEC half = (REAL)-0.5 * leading;
    const VEC r = FN(reduce)(leading * half, &rounded) + (a - leading) * ((REAL)-0.5 * a + half);
#endif
    return FN(exp_reduced)(r, rounded);
}

/* Where the normal distribution function is 0 and its density too: not yet beyond EXP_IS_0. */
#define NORMAL_IS_0 ((REAL)(SINGLE(REAL) ? 14.42 : 38.62))

/* Phi(-a), the normal distribution function, for 0 <= a <= NORMAL_IS_0; *power = exp(-a^2 / 2). */
INLINE VEC FN(normal_tail)(VEC a, VEC *power)
{
    *power = FN(exp_half_square)(a);
    const VEC u = FN(reciprocal)(a + 4);
    const VEC t = 1 - 8 * u;
    return *power * u *
           (SINGLE(REAL) ? FN(polynomial)(10, tail_f32, t) : FN(polynomial)(23, tail_f64, t));
}

INLINE VEC FN(logistic)(VEC x)
{
    const VEC e = FN(exp_negative)(-FN(absolute)(x));
    return SELECT(VEC, x < 0, e, FN(constant)(1)) * FN(reciprocal)(1 + e);
}

/* Derivative of the logistic function. */
INLINE VEC FN(logistic_slope)(VEC x)
{
    const VEC e = FN(exp_negative)(-FN(absolute)(x));
    return e * FN(reciprocal)((1 + e) * (1 + e));
}

/* ---- activations ------------------------------------------------------------------------------ */

INLINE VEC FN(relu)(VEC x, REAL parameter)
{
    (void)parameter;
    return SELECT(VEC, x <= 0, (VEC){0}, x);
}

INLINE VEC FN(relu_slope)(VEC x, VEC d_out, REAL parameter)
{
    (void)parameter;
    return SELECT(VEC, x > 0, d_out, SELECT(VEC, x <= 0, (VEC){0}, x));
}

INLINE VEC FN(leaky_relu)(VEC x, REAL slope) { return SELECT(VEC, x < 0, slope * x, x); }

INLINE VEC FN(leaky_relu_slope)(VEC x, VEC d_out, REAL slope)
{
    return SELECT(VEC, x > 0, d_out, SELECT(VEC, x <= 0, slope * d_out, x));
}

/* x Phi(x). In single precision Phi is a quotient of polynomials, which lies outside of [0, 1] at the bounds
   of x; in double x Phi(x) = max(x, 0) - |x| Phi(-|x|). */
INLINE VEC FN(gelu)(VEC x, REAL parameter)
{
    VEC power;
    (void)parameter;
    if (SINGLE(REAL)) {
        const REAL bound = (REAL)5.8;
        const VEC above = FN(at_least)(x, -bound), bounded = FN(at_most)(above, bound);
        const VEC square = bounded * bounded;
        const VEC inverse = FN(reciprocal)(FN(polynomial)(6, normal_denominator, square));
        const VEC normal = bounded * FN(polynomial)(6, normal_numerator, square) * inverse + (REAL)0.5;
        return above * FN(at_most)(FN(at_least)(normal, 0), 1);
    }
    const VEC a = FN(at_most)(FN(absolute)(x), NORMAL_IS_0);
    return FN(at_least)(x, 0) - a * FN(normal_tail)(a, &power);
}

/* Phi(x) + x phi(x) with the density phi */
INLINE VEC FN(gelu_slope)(VEC x, VEC d_out, REAL parameter)
{
    VEC power;
    (void)parameter;
    const VEC a = FN(at_most)(FN(absolute)(x), NORMAL_IS_0);
    const VEC tail = FN(normal_tail)(a, &power);
    const VEC right = tail - a * (power * (REAL)0.39894228040143267794); /* at -a; that at a is 1 - right */
    return d_out * SELECT(VEC, x > 0, 1 - right, right);
}

/* 2 sqrt(2 / pi) (x + 0.044715 x^3); half of it is the argument of the tanh. */
INLINE VEC FN(gelu_inner)(VEC x)
{
    return (REAL)1.5957691216057307118 * (x + (REAL)0.044715 * x * x * x);
}

INLINE VEC FN(gelu_tanh)(VEC x, REAL parameter)
{
    (void)parameter;
    const VEC above = FN(at_least)(x, -NORMAL_IS_0);
    /* (1 + tanh(u / 2)) / 2 is the logistic function of u, which has no cancellation. */
    return above * FN(logistic)(FN(gelu_inner)(FN(at_most)(above, NORMAL_IS_0)));
}

INLINE VEC FN(gelu_tanh_slope)(VEC x, VEC d_out, REAL parameter)
{
    (void)parameter;
    x = FN(at_most)(FN(at_least)(x, -NORMAL_IS_0), NORMAL_IS_0);
    const VEC inner = FN(gelu_inner)(x);
    const VEC e = FN(exp_negative)(-FN(absolute)(inner));
    const VEC inverse = FN(reciprocal)(1 + e);
    const VEC value = SELECT(VEC, inner < 0, e, FN(constant)(1)) * inverse;
    const VEC inner_slope = (REAL)1.5957691216057307118 * (1 + (REAL)0.134145 * x * x);
    return d_out * (value + x * (e * inverse * inverse) * inner_slope);
}

/* In single precision a quotient of polynomials, which is above 1 at the bound of x. In double, with
   m = exp(-2 |x|) - 1, it is -m / (m + 2): no cancellation at 0. */
INLINE VEC FN(tanh)(VEC x, REAL parameter)
{
    (void)parameter;
    if (SINGLE(REAL)) {
        const REAL bound = 10;
        const VEC bounded = FN(at_most)(FN(at_least)(x, -bound), bound), square = bounded * bounded;
        const VEC ratio = bounded * FN(polynomial)(5, tanh_numerator, square) *
                          FN(reciprocal)(FN(polynomial)(5, tanh_denominator, square));
        return FN(at_most)(FN(at_least)(ratio, -1), 1);
    }
    VEC rounded;
    const VEC r = FN(reduce)(-2 * FN(at_most)(FN(absolute)(x), 25), &rounded); /* 1 from here on */
    const VEC scale = FN(power_of_two)(rounded, 0);
    const VEC m = scale * (r * FN(expm1_ratio)(r)) + (scale - 1);
    return FN(with_sign)(FN(absolute)(m * FN(reciprocal)(m + 2)), x);
}

INLINE VEC FN(tanh_slope)(VEC x, VEC d_out, REAL parameter)
{
    (void)parameter;
    return d_out * (4 * FN(logistic_slope)(2 * x));
}

INLINE VEC FN(sigmoid)(VEC x, REAL parameter)
{
    (void)parameter;
    return FN(logistic)(x);
}

INLINE VEC FN(sigmoid_slope)(VEC x, VEC d_out, REAL parameter)
{
    (void)parameter;
    return d_out * FN(logistic_slope)(x);
}

/* The loops run over whole vectors; the elements that are left go through the same loop in a vector of
   their own. */
#define ACTIVATION(number, name)                                                                   \
    case number:                                                                                   \
        for (; i + LANES(REAL) <= n; i += LANES(REAL))                                             \
            FN(store)(out + i, FN(name)(FN(load)(x + i), (REAL)parameter));                        \
        break;

static void FN(activation)(int number, ptrdiff_t n, const REAL *x, double parameter, REAL *out)
{
    ptrdiff_t i = 0;
    switch (number) {
        ACTIVATION(TEXTCNN_RELU, relu)
        ACTIVATION(TEXTCNN_LEAKY_RELU, leaky_relu)
        ACTIVATION(TEXTCNN_GELU, gelu)
        ACTIVATION(TEXTCNN_GELU_TANH, gelu_tanh)
        ACTIVATION(TEXTCNN_TANH, tanh)
        ACTIVATION(TEXTCNN_SIGMOID, sigmoid)
    }
    if (i < n) {
        REAL last[LANES(REAL)];
        FN(store)(last, FN(load_some)(x + i, n - i, 0));
        FN(activation)(number, LANES(REAL), last, parameter, last);
        memcpy(out + i, last, (size_t)(n - i) * sizeof(REAL));
    }
}
#undef ACTIVATION

#define ACTIVATION_BACKWARD(number, name)                                                          \
    case number:                                                                                   \
        for (; i + LANES(REAL) <= n; i += LANES(REAL))                                             \
            FN(store)(d_x + i, FN(name)(FN(load)(x + i), FN(load)(d_out + i), (REAL)parameter));   \
        break;

static void FN(activation_backward)(int number, ptrdiff_t n, const REAL *d_out, const REAL *x,
                                    double parameter, REAL *d_x)
{
    ptrdiff_t i = 0;
    switch (number) {
        ACTIVATION_BACKWARD(TEXTCNN_RELU, relu_slope)
        ACTIVATION_BACKWARD(TEXTCNN_LEAKY_RELU, leaky_relu_slope)
        ACTIVATION_BACKWARD(TEXTCNN_GELU, gelu_slope)
        ACTIVATION_BACKWARD(TEXTCNN_GELU_TANH, gelu_tanh_slope)
        ACTIVATION_BACKWARD(TEXTCNN_TANH, tanh_slope)
        ACTIVATION_BACKWARD(TEXTCNN_SIGMOID, sigmoid_slope)
    }
    if (i < n) {
        REAL last[LANES(REAL)], d_last[LANES(REAL)];
        FN(store)(last, FN(load_some)(x + i, n - i, 0));
        FN(store)(d_last, FN(load_some)(d_out + i, n - i, 0));
        FN(activation_backward)(number, LANES(REAL), d_last, last, parameter, last);
        memcpy(d_x + i, last, (size_t)(n - i) * sizeof(REAL));
    }
}
#undef ACTIVATION_BACKWARD

/* ---- rows of softmax -------------------------------------------------------------------------- */

/* The elements of a row that fill no whole vector, and `fill`. */
INLINE VEC FN(load_last)(const REAL *row, ptrdiff_t c, REAL fill)
{
    const ptrdiff_t whole = c - c % LANES(REAL);
    return whole < c ? FN(load_some)(row + whole, c - whole, fill) : FN(constant)(fill);
}

/* Where a sum in REAL from vector k on ends. */
INLINE ptrdiff_t FN(block_end)(ptrdiff_t k, ptrdiff_t whole)
{
    return k + SUMMED_VECTORS * LANES(REAL) < whole ? k + SUMMED_VECTORS * LANES(REAL) : whole;
}

static REAL FN(row_maximum)(ptrdiff_t c, const REAL *x)
{
    VEC top = FN(load_last)(x, c, -(REAL)INFINITY);
    top = SELECT(VEC, top == top, top, FN(constant)(-INFINITY));
    for (ptrdiff_t k = 0; k + LANES(REAL) <= c; k += LANES(REAL)) {
        const VEC v = FN(load)(x + k);
        top = SELECT(VEC, v > top, v, top); /* a NaN is passed over here, but not by the sum */
    }
    return FN(lanes_max)(top);
}

/* Sums over a row of exp(x - top). The maxima of the row, whose power is 1, are counted apart (if `apart`)
   from the rest of the sum, which may be far below a unit in the last place of 1. */
typedef struct {
    double maxima, rest;
} FN(row_sums);

/* The same in the lanes of a vector. */
typedef struct {
    VEC maxima, rest;
} FN(lane_sums);

INLINE VEC FN(add_power)(FN(lane_sums) *sums, VEC v, REAL top, const int apart)
{
    const VEC power = FN(exp_below)(v, top);
    if (apart) {
        const IVEC is_top = v == top;
        sums->maxima += SELECT(VEC, is_top, FN(constant)(1), (VEC){0});
        sums->rest += SELECT(VEC, is_top, (VEC){0}, power);
    } else
        sums->rest += power;
    return power;
}

INLINE FN(row_sums) FN(sum_powers)(ptrdiff_t c, const REAL *x, REAL top, const int apart, REAL *powers)
{
    const ptrdiff_t whole = c - c % LANES(REAL);
    FN(row_sums) total = {0, top - top}; /* NaN if the maximum is infinite */
    FN(lane_sums) sums = {{0}, {0}};
    if (whole < c) {
        const VEC power =
            FN(add_power)(&sums, FN(load_some)(x + whole, c - whole, -(REAL)INFINITY), top, apart);
        if (powers)
            FN(store_some)(powers + whole, power, c - whole);
    }
    for (ptrdiff_t k = 0;;) {
        const ptrdiff_t end = FN(block_end)(k, whole);
        for (; k < end; k += LANES(REAL)) {
            const VEC power = FN(add_power)(&sums, FN(load)(x + k), top, apart);
            if (powers)
                FN(store)(powers + k, power);
        }
        total.rest += FN(lanes_sum)(sums.rest);
        if (apart)
            total.maxima += FN(lanes_sum)(sums.maxima);
        if (k == whole)
            return total;
        sums = (FN(lane_sums)){{0}, {0}};
    }
}

/* Sum of a row of `values`, or of its products with `factors`. */
INLINE double FN(sum_products)(ptrdiff_t c, const REAL *values, const REAL *factors)
{
    const ptrdiff_t whole = c - c % LANES(REAL);
    double total = 0;
    VEC sum = FN(load_last)(values, c, 0);
    if (factors)
        sum *= FN(load_last)(factors, c, 0);
    for (ptrdiff_t k = 0;;) {
        const ptrdiff_t end = FN(block_end)(k, whole);
        for (; k < end; k += LANES(REAL))
            sum += factors ? FN(load)(values + k) * FN(load)(factors + k) : FN(load)(values + k);
        total += FN(lanes_sum)(sum);
        if (k == whole)
            return total;
        sum = (VEC){0};
    }
}

/* log(1 + rest) */
INLINE double FN(log_sum)(double rest)
{
    return rest < 0.5 ? log1p(rest) : log(1 + rest); /* the logarithm takes half the time */
}

static void FN(softmax_row)(ptrdiff_t c, const REAL *x, REAL *out)
{
    const FN(row_sums) sums = FN(sum_powers)(c, x, FN(row_maximum)(c, x), 0, out);
    const REAL norm = (REAL)(1 / sums.rest);
    for (ptrdiff_t k = 0; k < c; k++)
        out[k] *= norm;
}

static void FN(log_softmax_row)(ptrdiff_t c, const REAL *x, REAL *out)
{
    const REAL top = FN(row_maximum)(c, x);
    const FN(row_sums) sums = FN(sum_powers)(c, x, top, 1, NULL);
    const REAL log_sum = (REAL)FN(log_sum)(sums.maxima - 1 + sums.rest);
    for (ptrdiff_t k = 0; k < c; k++)
        out[k] = (x[k] - top) - log_sum;
}

static void FN(softmax_backward_row)(ptrdiff_t c, const REAL *d_out, const REAL *out, REAL *d_x)
{
    const REAL mean = (REAL)FN(sum_products)(c, d_out, out);
    INDEPENDENT
    for (ptrdiff_t k = 0; k < c; k++)
        d_x[k] = out[k] * (d_out[k] - mean);
}

static void FN(log_softmax_backward_row)(ptrdiff_t c, const REAL *restrict d_out, const REAL *x,
                                         REAL *restrict d_x)
{
    const FN(row_sums) sums = FN(sum_powers)(c, x, FN(row_maximum)(c, x), 0, d_x);
    const REAL norm = (REAL)(FN(sum_products)(c, d_out, NULL) / sums.rest);
    for (ptrdiff_t k = 0; k < c; k++)
        d_x[k] = d_out[k] - norm * d_x[k];
}

/* Coefficient k of -log p[k]: scale[k] probabilities[k] + shift[k], where what is missing is 1 or 0. */
INLINE VEC FN(coefficient)(const REAL *probabilities, const REAL *scale, const REAL *shift, ptrdiff_t k,
                           ptrdiff_t n)
{
    VEC q = {0};
    if (probabilities)
        q = FN(load_some)(probabilities + k, n, 0);
    if (probabilities && scale)
        q *= FN(load_some)(scale + k, n, 0);
    if (shift)
        q += FN(load_some)(shift + k, n, 0);
    return q;
}

static double FN(cross_entropy_row)(ptrdiff_t c, const REAL *x, const REAL *probabilities,
                                    const REAL *scale, const REAL *shift, ptrdiff_t target, double weight)
{
    const REAL top = FN(row_maximum)(c, x);
    const FN(row_sums) sums = FN(sum_powers)(c, x, top, 1, NULL);
    const double log_sum = FN(log_sum)(sums.maxima - 1 + sums.rest);
    double loss = target >= 0 && weight != 0 ? weight * (log_sum - ((double)x[target] - top)) : 0;
    if (!probabilities && !shift)
        return loss;
    for (ptrdiff_t k = 0; k < c;) {
        const ptrdiff_t end = k + SUMMED_VECTORS * LANES(REAL);
        VEC sum = {0};
        for (; k < c && k < end; k += LANES(REAL)) {
            const ptrdiff_t n = FN(filled)(c - k);
            const VEC q = FN(coefficient)(probabilities, scale, shift, k, n);
            const VEC surprise = (REAL)log_sum - (FN(load_some)(x + k, n, 0) - top);
            sum += SELECT(VEC, q == 0, (VEC){0}, q * surprise); /* 0 log 0 = 0 */
        }
        loss += FN(lanes_sum)(sum);
    }
    return loss;
}

static void FN(cross_entropy_backward_row)(double d_loss, ptrdiff_t c, const REAL *x,
                                           const REAL *probabilities, const REAL *scale,
                                           const REAL *shift, ptrdiff_t target, double weight,
                                           REAL *d_x, REAL *d_probabilities)
{
    const REAL top = FN(row_maximum)(c, x);
    double total = target >= 0 ? weight : 0;
    if (probabilities || shift)
        for (ptrdiff_t k = 0; k < c;) {
            const ptrdiff_t end = k + SUMMED_VECTORS * LANES(REAL);
            VEC sum = {0};
            for (; k < c && k < end; k += LANES(REAL))
                sum += FN(coefficient)(probabilities, scale, shift, k, FN(filled)(c - k));
            total += FN(lanes_sum)(sum);
        }
    const FN(row_sums) sums = FN(sum_powers)(c, x, top, 1, d_x);
    const double rest = sums.maxima - 1 + sums.rest;
    const REAL norm = (REAL)(d_loss * total / (1 + rest)), d = (REAL)d_loss, log_sum = (REAL)(probabilities || shift ? FN(log_sum)(rest) : 0);
    if (!probabilities && !shift)
        for (ptrdiff_t k = 0; k < c; k++)
            d_x[k] *= norm;
    else
        for (ptrdiff_t k = 0; k < c; k += LANES(REAL)) {
            const ptrdiff_t n = FN(filled)(c - k);
            const VEC q = FN(coefficient)(probabilities, scale, shift, k, n);
            FN(store_some)(d_x + k, norm * FN(load_some)(d_x + k, n, 0) - d * q, n);
            if (d_probabilities) {
                const VEC surprise = log_sum - (FN(load_some)(x + k, n, 0) - top);
                const VEC factor = scale ? d * FN(load_some)(scale + k, n, 0) : FN(constant)(d);
                FN(store_some)(d_probabilities + k, factor * surprise, n);
            }
        }
    if (target >= 0)
        d_x[target] -= (REAL)(d_loss * weight);
}

static double FN(sum)(ptrdiff_t n, const REAL *x) { return FN(sum_products)(n, x, NULL); }

/* ---- losses of single elements ---------------------------------------------------------------- */

INLINE VEC FN(mse)(VEC prediction, VEC target, VEC weight, REAL parameter)
{
    (void)weight, (void)parameter;
    return (prediction - target) * (prediction - target);
}

INLINE VEC FN(mse_slope)(VEC d_loss, VEC prediction, VEC target, VEC weight, REAL parameter, VEC *d_target)
{
    (void)weight, (void)parameter;
    const VEC d_prediction = 2 * (prediction - target) * d_loss;
    *d_target = -d_prediction;
    return d_prediction;
}

INLINE VEC FN(huber)(VEC prediction, VEC target, VEC weight, REAL delta)
{
    (void)weight;
    const VEC distance = FN(absolute)(prediction - target);
    return SELECT(VEC, distance > delta, delta * (distance - (REAL)0.5 * delta),
                  (REAL)0.5 * distance * distance);
}

INLINE VEC FN(huber_slope)(VEC d_loss, VEC prediction, VEC target, VEC weight, REAL delta, VEC *d_target)
{
    (void)weight;
    const VEC d_prediction = FN(at_most)(FN(at_least)(prediction - target, -delta), delta) * d_loss;
    *d_target = -d_prediction;
    return d_prediction;
}

/* (1 - t) log(1 + exp(x)) + w t log(1 + exp(-x)): a sum of positive terms, so nothing cancels. */
INLINE VEC FN(bce)(VEC x, VEC target, VEC weight, REAL parameter)
{
    (void)parameter;
    const VEC soft = FN(log1p_unit)(FN(exp_negative)(-FN(absolute)(x)));
    const VEC positive = weight * target * (soft + SELECT(VEC, x < 0, -x, (VEC){0}));
    const VEC negative = (1 - target) * (soft + SELECT(VEC, x > 0, x, (VEC){0}));
    /* An infinite logit of the right sign costs nothing: 0 times infinity is 0 here. */
    return SELECT(VEC, weight * target == 0, (VEC){0}, positive) +
           SELECT(VEC, target == 1, (VEC){0}, negative) + 0 * soft;
}

INLINE VEC FN(bce_slope)(VEC d_loss, VEC x, VEC target, VEC weight, REAL parameter, VEC *d_target)
{
    (void)parameter;
    const VEC e = FN(exp_negative)(-FN(absolute)(x));
    const VEC inverse = FN(reciprocal)(1 + e);
    const VEC up = SELECT(VEC, x < 0, e, FN(constant)(1)) * inverse;
    const VEC down = SELECT(VEC, x < 0, FN(constant)(1), e) * inverse;
    const VEC below = SELECT(VEC, x < 0, -x, (VEC){0}), above = SELECT(VEC, x < 0, (VEC){0}, x);
    *d_target = d_loss * (weight * below - above + (weight - 1) * FN(log1p_unit)(e));
    return d_loss * ((1 - target) * up - weight * target * down);
}

#define LOSS(number, name)                                                                         \
    case number:                                                                                   \
        for (; i + LANES(REAL) <= n; i += LANES(REAL)) {                                           \
            const VEC weight = weights ? FN(load)(weights + i) : FN(constant)(1);                  \
            FN(store)(out + i, FN(name)(FN(load)(predictions + i), FN(load)(targets + i), weight,  \
                                        (REAL)parameter));                                         \
        }                                                                                          \
        break;

static void FN(loss)(int number, ptrdiff_t n, const REAL *predictions, const REAL *targets,
                     const REAL *weights, double parameter, REAL *out)
{
    ptrdiff_t i = 0;
    switch (number) {
        LOSS(TEXTCNN_MSE, mse)
        LOSS(TEXTCNN_HUBER, huber)
        LOSS(TEXTCNN_BCE, bce)
    }
    if (i < n) {
        REAL last[3][LANES(REAL)];
        FN(store)(last[0], FN(load_some)(predictions + i, n - i, 0));
        FN(store)(last[1], FN(load_some)(targets + i, n - i, 0));
        FN(store)(last[2], weights ? FN(load_some)(weights + i, n - i, 1) : FN(constant)(1));
        FN(loss)(number, LANES(REAL), last[0], last[1], last[2], parameter, last[0]);
        memcpy(out + i, last[0], (size_t)(n - i) * sizeof(REAL));
    }
}
#undef LOSS

#define LOSS_BACKWARD(number, name)                                                                \
    case number:                                                                                   \
        for (; i + LANES(REAL) <= n; i += LANES(REAL)) {                                           \
            const VEC d = d_loss ? FN(load)(d_loss + i) : FN(constant)(scale);                     \
            const VEC weight = weights ? FN(load)(weights + i) : FN(constant)(1);                  \
            VEC d_target;                                                                          \
            const VEC d_prediction =                                                               \
                FN(name)(d, FN(load)(predictions + i), FN(load)(targets + i), weight,              \
                         (REAL)parameter, &d_target);                                              \
            FN(store)(d_predictions + i, d_prediction);                                            \
            FN(store)(d_targets + i, d_target);                                                    \
        }                                                                                          \
        break;

static void FN(loss_backward)(int number, ptrdiff_t n, const REAL *d_loss, double scale,
                              const REAL *predictions, const REAL *targets, const REAL *weights,
                              double parameter, REAL *d_predictions, REAL *d_targets)
{
    ptrdiff_t i = 0;
    switch (number) {
        LOSS_BACKWARD(TEXTCNN_MSE, mse_slope)
        LOSS_BACKWARD(TEXTCNN_HUBER, huber_slope)
        LOSS_BACKWARD(TEXTCNN_BCE, bce_slope)
    }
    if (i < n) {
        REAL last[4][LANES(REAL)];
        FN(store)(last[0], FN(load_some)(predictions + i, n - i, 0));
        FN(store)(last[1], FN(load_some)(targets + i, n - i, 0));
        FN(store)(last[2], weights ? FN(load_some)(weights + i, n - i, 1) : FN(constant)(1));
        FN(store)(last[3], d_loss ? FN(load_some)(d_loss + i, n - i, 0) : FN(constant)(scale));
        FN(loss_backward)(number, LANES(REAL), last[3], scale, last[0], last[1], last[2], parameter,
                          last[0], last[1]);
        memcpy(d_predictions + i, last[0], (size_t)(n - i) * sizeof(REAL));
        memcpy(d_targets + i, last[1], (size_t)(n - i) * sizeof(REAL));
    }
}
#undef LOSS_BACKWARD

static int FN(all_within)(ptrdiff_t n, const REAL *x, double least, double most)
{
    const REAL low = (REAL)least, high = (REAL)most;
    IVEC outside = {0};
    for (ptrdiff_t i = 0; i < n; i += LANES(REAL)) {
        const VEC v = FN(load_some)(x + i, FN(filled)(n - i), low);
        outside |= ~((v >= low) & (v <= high)) & 1; /* NaN is outside */
    }
    INT lane[LANES(REAL)], any = 0;
    memcpy(lane, &outside, sizeof outside);
    for (ptrdiff_t l = 0; l < LANES(REAL); l++)
        any |= lane[l];
    return any == 0;
}
#undef EXP_IS_0
