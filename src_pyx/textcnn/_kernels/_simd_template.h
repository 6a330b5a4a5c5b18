/* The hot loops for one type: REAL, with INT the signed integer of the same size. */

#define FN(name) PASTE(name, SUFFIX)
#define VEC FN(vec)
#define LOADED FN(loaded)
#define IVEC FN(ivec)

#if defined(__GNUC__)
typedef REAL VEC __attribute__((vector_size(VECTOR_BYTES)));
typedef INT IVEC __attribute__((vector_size(VECTOR_BYTES)));
/* The same vector at any address. */
typedef REAL LOADED __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#ifndef LANES
#define LANES(T) ((ptrdiff_t)(VECTOR_BYTES / sizeof(T)))
/* Bits of `yes` where the mask is all ones, of `no` where it is zero; T is the result's type. The first form
   uses the mask once, which AVX-512 holds in a register of another kind; GCC makes a blend of the second. */
#if defined(__AVX512F__)
#define SELECT(T, mask, yes, no) ((T)((IVEC)(no) ^ ((mask) & ((IVEC)(yes) ^ (IVEC)(no)))))
#else
#define SELECT(T, mask, yes, no) ((T)(((mask) & (IVEC)(yes)) | (~(mask) & (IVEC)(no))))
#endif
#endif
#else
typedef REAL VEC;
typedef INT IVEC;
typedef REAL LOADED;
#ifndef LANES
#define LANES(T) ((ptrdiff_t)1)
#define SELECT(T, mask, yes, no) ((T)((mask) ? (yes) : (no)))
#endif
#endif
#ifndef PANEL_WIDTH
#define PANEL_WIDTH(T) (2 * LANES(T))
/* A block of the inner dimension: its panel stays in the first-level cache. */
#define INNER_BLOCK 384
#endif

INLINE VEC FN(load)(const REAL *p) { return *(const LOADED *)p; }
INLINE void FN(store)(REAL *p, VEC v) { *(LOADED *)p = v; }

#include "_simd_activations.h"

/* ---- matrix products ------------------------------------------------------------------------ */

static void FN(pack_panel)(ptrdiff_t k, ptrdiff_t n, const REAL *b, ptrdiff_t row_stride,
                           ptrdiff_t col_stride, REAL *panel)
{
    const ptrdiff_t width = PANEL_WIDTH(REAL);
    if (n < width)
        memset(panel, 0, (size_t)(k * width) * sizeof(REAL));
    if (row_stride == 1) { /* b is the transpose of a C-contiguous matrix: read it along its rows */
        ptrdiff_t p = 0;
        for (; p + 16 <= k; p += 16) /* a block that stays in cache while it is written across */
            for (ptrdiff_t j = 0; j < n; j++)
                for (ptrdiff_t q = p; q < p + 16; q++)
                    panel[q * width + j] = b[q + j * col_stride];
        for (; p < k; p++)
            for (ptrdiff_t j = 0; j < n; j++)
                panel[p * width + j] = b[p + j * col_stride];
        return;
    }
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t j = 0; j < n; j++)
            panel[p * width + j] = b[p * row_stride + j * col_stride];
}

/* c (rows, vectors * LANES) += a (rows, k) panel (k, panel_width), `rows` and `vectors` known when
   compiling: 2 fill the panel's width, 1 does its first half. Every element has one sum that runs over
   k in order, whatever the tile that it falls into. */
INLINE void FN(tile)(const int rows, const int vectors, ptrdiff_t k, const REAL *a,
                     ptrdiff_t row_stride, ptrdiff_t col_stride, const REAL *panel, REAL *c,
                     ptrdiff_t ldc, int resume, const REAL *bias, int relu)
{
    const ptrdiff_t lanes = LANES(REAL);
    VEC sum[TILE_ROWS][2];
    UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = resume ? FN(load)(c + i * ldc) : (VEC){0};
        if (vectors == 2)
            sum[i][1] = resume ? FN(load)(c + i * ldc + lanes) : (VEC){0};
    }
    for (ptrdiff_t p = 0; p < k; p++) {
        const VEC b0 = FN(load)(panel + p * 2 * lanes);
        const VEC b1 = vectors == 2 ? FN(load)(panel + p * 2 * lanes + lanes) : b0;
        UNROLL
        for (int i = 0; i < rows; i++) {
            const REAL x = a[i * row_stride + p * col_stride];
            sum[i][0] += x * b0;
            if (vectors == 2)
                sum[i][1] += x * b1;
        }
    }
    if (bias) {
        const VEC bias0 = FN(load)(bias), bias1 = vectors == 2 ? FN(load)(bias + lanes) : bias0;
        UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][0] += bias0;
            if (vectors == 2)
                sum[i][1] += bias1;
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        FN(store)(c + i * ldc, sum[i][0]);
        if (vectors == 2)
            FN(store)(c + i * ldc + lanes, sum[i][1]);
    }
    if (relu)
        for (int i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < vectors * lanes; j++)
                c[i * ldc + j] = c[i * ldc + j] < 0 ? 0 : c[i * ldc + j]; /* NaN stays */
}

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        if (half)                                                                                  \
            FN(tile)(n, 1, k, a, row_stride, col_stride, panel, c, ldc, resume, bias, relu);       \
        else if (col_stride == 1)                                                                  \
            FN(tile)(n, 2, k, a, row_stride, 1, panel, c, ldc, resume, bias, relu);                \
        else                                                                                       \
            FN(tile)(n, 2, k, a, row_stride, col_stride, panel, c, ldc, resume, bias, relu);       \
        break;

static void FN(tile_rows)(int rows, int half, ptrdiff_t k, const REAL *a, ptrdiff_t row_stride,
                          ptrdiff_t col_stride, const REAL *panel, REAL *c, ptrdiff_t ldc,
                          int resume, const REAL *bias, int relu)
{
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
#if TILE_ROWS > 4
        TILE_CASE(5)
        TILE_CASE(6)
#endif
#if TILE_ROWS > 6
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
#endif
    }
}
#undef TILE_CASE

static void FN(gemm_panel)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const REAL *a,
                           ptrdiff_t row_stride, ptrdiff_t col_stride, const REAL *panel, REAL *c,
                           ptrdiff_t ldc, const REAL *bias, int relu)
{
    enum { WIDTH = PANEL_WIDTH(REAL) };
    REAL narrow[TILE_ROWS * WIDTH], narrow_bias[WIDTH];
    const int half = n <= LANES(REAL), full = n == (half ? LANES(REAL) : WIDTH);
    if (bias && !full) {
        memset(narrow_bias, 0, sizeof narrow_bias);
        memcpy(narrow_bias, bias, (size_t)n * sizeof(REAL));
        bias = narrow_bias;
    }
    ptrdiff_t p = 0;
    do { /* once even for k = 0: the result is then the bias */
        const ptrdiff_t depth = k - p < INNER_BLOCK ? k - p : INNER_BLOCK;
        const int last = p + depth == k;
        for (ptrdiff_t i = 0; i < m; i += TILE_ROWS) {
            const int rows = (int)(m - i < TILE_ROWS ? m - i : TILE_ROWS);
            REAL *target = full ? c + i * ldc : narrow;
            const ptrdiff_t target_ldc = full ? ldc : WIDTH;
            if (!full && p > 0)
                for (int r = 0; r < rows; r++)
                    memcpy(narrow + r * WIDTH, c + (i + r) * ldc, (size_t)n * sizeof(REAL));
            FN(tile_rows)(rows, half, depth, a + i * row_stride + p * col_stride, row_stride, col_stride,
                          panel + p * WIDTH, target, target_ldc, p > 0, last ? bias : NULL,
                          last && relu);
            if (!full)
                for (int r = 0; r < rows; r++)
                    memcpy(c + (i + r) * ldc, narrow + r * WIDTH, (size_t)n * sizeof(REAL));
        }
        p += depth;
    } while (p < k);
}

/* ---- convolution over projected tokens, ReLU and max over time -------------------------------- */

/* `n` vectors of filters, at first, first + lanes, ... but never beyond `last`, the start of the
   last full vector: the tail overlaps and computes a few filters twice, with the same result. */
INLINE void FN(conv_max_block)(const int n, const REAL *const *rows, ptrdiff_t n_tokens,
                               ptrdiff_t width, ptrdiff_t pad_left, ptrdiff_t n_windows,
                               ptrdiff_t block, ptrdiff_t tap_stride, ptrdiff_t first,
                               ptrdiff_t last, const REAL *bias, int relu, REAL *out, int32_t *argmax)
{
    const ptrdiff_t lanes = LANES(REAL);
    ptrdiff_t at[4];
    VEC best[4], b[4];
    IVEC best_at[4];
    UNROLL
    for (int v = 0; v < n; v++) {
        at[v] = first + v * lanes < last ? first + v * lanes : last;
        b[v] = FN(load)(bias + at[v]);
        best[v] = relu ? (VEC){0} : (VEC){0} - (REAL)INFINITY;
        best_at[v] = (IVEC){0} + (INT)TEXTCNN_NO_WINDOW;
    }
    for (ptrdiff_t p = 0; p < n_windows; p++) {
        const ptrdiff_t start = p - pad_left;
        const ptrdiff_t from = start < 0 ? -start : 0;
        const ptrdiff_t to = start + width > n_tokens ? n_tokens - start : width;
        VEC z[4];
        UNROLL
        for (int v = 0; v < n; v++)
            z[v] = b[v];
        for (ptrdiff_t j = from; j < to; j++) {
            const REAL *row = rows[start + j] + block + j * tap_stride;
            UNROLL
            for (int v = 0; v < n; v++)
                z[v] += FN(load)(row + at[v]);
        }
        UNROLL
        for (int v = 0; v < n; v++) {
            /* Strictly above, so that the first maximum stays; NaN, which is above nothing, shows. */
            const IVEC above = (z[v] > best[v]) | (z[v] != z[v]);
            best[v] = SELECT(VEC, above, z[v], best[v]);
            best_at[v] = SELECT(IVEC, above, (IVEC){0} + (INT)start, best_at[v]);
        }
    }
    UNROLL
    for (int v = 0; v < n; v++) {
        FN(store)(out + at[v], best[v]);
        INT lane[LANES(REAL)];
        memcpy(lane, &best_at[v], sizeof lane);
        for (ptrdiff_t l = 0; l < lanes; l++)
            argmax[at[v] + l] = (int32_t)lane[l];
    }
}

static void FN(conv_max)(const REAL *const *rows, ptrdiff_t n_tokens, ptrdiff_t width,
                         ptrdiff_t pad_left, ptrdiff_t n_windows, ptrdiff_t n_filters,
                         ptrdiff_t block, ptrdiff_t tap_stride, const REAL *bias, int relu,
                         REAL *out, int32_t *argmax)
{
    const ptrdiff_t lanes = LANES(REAL), last = n_filters - lanes;
    ptrdiff_t f = 0;
    if (last < 0) { /* fewer filters than a vector holds */
        for (; f < n_filters; f++) {
            REAL best = relu ? 0 : -(REAL)INFINITY;
            int32_t best_at = TEXTCNN_NO_WINDOW;
            for (ptrdiff_t p = 0; p < n_windows; p++) {
                const ptrdiff_t start = p - pad_left;
                REAL z = bias[f];
                for (ptrdiff_t j = 0; j < width; j++)
                    if (start + j >= 0 && start + j < n_tokens)
                        z += rows[start + j][block + j * tap_stride + f];
                if (z > best || z != z) {
                    best = z;
                    best_at = (int32_t)start;
                }
            }
            out[f] = best;
            argmax[f] = best_at;
        }
        return;
    }
#define CONV_MAX(n)                                                                                \
    FN(conv_max_block)(n, rows, n_tokens, width, pad_left, n_windows, block, tap_stride, f, last,  \
                       bias, relu, out, argmax)
    for (; f + 4 * lanes <= n_filters; f += 4 * lanes)
        CONV_MAX(4);
    switch ((n_filters - f + lanes - 1) / lanes) {
    case 4: CONV_MAX(4); break;
    case 3: CONV_MAX(3); break;
    case 2: CONV_MAX(2); break;
    case 1: CONV_MAX(1); break;
    }
#undef CONV_MAX
}

/* ---- sparse times dense ----------------------------------------------------------------------- */

/* `n` vectors of the output stay in registers while the entries pass by. */
INLINE void FN(weighted_sum_block)(const int n, ptrdiff_t n_entries, const REAL *const *rows,
                                   const REAL *values, int resume, ptrdiff_t first, ptrdiff_t last,
                                   REAL *out)
{
    const ptrdiff_t lanes = LANES(REAL);
    ptrdiff_t at[16];
    VEC sum[16];
    UNROLL
    for (int v = 0; v < n; v++) {
        at[v] = first + v * lanes < last ? first + v * lanes : last;
        sum[v] = resume ? FN(load)(out + at[v]) : (VEC){0};
    }
    for (ptrdiff_t e = 0; e < n_entries; e++) {
        const REAL x = values[e];
        const REAL *row = rows[e];
        UNROLL
        for (int v = 0; v < n; v++)
            sum[v] += x * FN(load)(row + at[v]);
    }
    UNROLL
    for (int v = 0; v < n; v++)
        FN(store)(out + at[v], sum[v]);
}

static void FN(weighted_sum)(ptrdiff_t n_entries, const REAL *const *rows, const REAL *values,
                             int resume, ptrdiff_t d, REAL *out)
{
    const ptrdiff_t lanes = LANES(REAL), last = d - lanes;
    if (last < 0) {
        for (ptrdiff_t c = 0; c < d && !resume; c++)
            out[c] = 0;
        for (ptrdiff_t e = 0; e < n_entries; e++)
            for (ptrdiff_t c = 0; c < d; c++)
                out[c] += values[e] * rows[e][c];
        return;
    }
    ptrdiff_t vectors = (d + lanes - 1) / lanes, done = 0;
#define WEIGHTED_SUM(n)                                                                            \
    case n:                                                                                        \
        FN(weighted_sum_block)(n, n_entries, rows, values, resume, done * lanes, last, out);       \
        break;
    while (vectors > 0) {
        /* Passes of equal size: 19 vectors are 10 + 9, not 16 + 3. */
        const ptrdiff_t passes = (vectors + MAX_VECTORS - 1) / MAX_VECTORS;
        const ptrdiff_t n = (vectors + passes - 1) / passes;
        switch (n) {
            WEIGHTED_SUM(1)
            WEIGHTED_SUM(2)
            WEIGHTED_SUM(3)
            WEIGHTED_SUM(4)
            WEIGHTED_SUM(5)
            WEIGHTED_SUM(6)
            WEIGHTED_SUM(7)
            WEIGHTED_SUM(8)
            WEIGHTED_SUM(9)
            WEIGHTED_SUM(10)
            WEIGHTED_SUM(11)
            WEIGHTED_SUM(12)
#if MAX_VECTORS > 12
            WEIGHTED_SUM(13)
            WEIGHTED_SUM(14)
            WEIGHTED_SUM(15)
            WEIGHTED_SUM(16)
#endif
        }
        vectors -= n;
        done += n;
    }
#undef WEIGHTED_SUM
}

/* total += squares of each column of x (n_rows, width), in double: exact for one square of a float. */
static void FN(add_squares)(ptrdiff_t n_rows, const REAL *x, ptrdiff_t row_stride, ptrdiff_t width,
                            double *total)
{
    for (ptrdiff_t i = 0; i < n_rows; i++) {
        const REAL *row = x + i * row_stride;
        INDEPENDENT
        for (ptrdiff_t j = 0; j < width; j++)
            total[j] += (double)row[j] * (double)row[j];
    }
}

/* ---- convolution by minimal filtering --------------------------------------------------------- */

/* F(outputs, taps) takes products = outputs + taps - 1 products for `outputs` neighbouring results.
   F(4, 3), from the points 0, 1, -1, 2, -2 and infinity (Lavin & Gray 2015, section 4.3):
       B' = 4  0 -5  0  1  0      G = 1/4    0    0        A' = 1  1  1  1  1  0
            0 -4 -4  1  1  0         -1/6 -1/6 -1/6             0  1 -1  2 -2  0
            0  4 -4 -1  1  0         -1/6  1/6 -1/6             0  1  1  4  4  0
            0 -2 -1  2  1  0         1/24 1/12  1/6             0  1 -1  8 -8  1
            0  2 -1 -2  1  0         1/24 -1/12 1/6
            0  4  0 -5  0  1            0    0    1
   F(1, taps) is the direct convolution: B' = G = identity, A' = ones. */

/* inputs (products, n_tiles, c): B' of the rows of each tile, rows[tile * products + tap]. */
static void FN(filter_inputs)(ptrdiff_t outputs, ptrdiff_t products, ptrdiff_t n_tiles,
                              const REAL *const *rows, ptrdiff_t c, REAL *inputs)
{
    const ptrdiff_t plane = n_tiles * c;
    for (ptrdiff_t tile = 0; tile < n_tiles; tile++) {
        const REAL *const *row = rows + tile * products;
        REAL *out = inputs + tile * c;
        if (outputs == 1) {
            for (ptrdiff_t k = 0; k < products; k++)
                memcpy(out + k * plane, row[k], (size_t)c * sizeof(REAL));
            continue;
        }
        const REAL *x0 = row[0], *x1 = row[1], *x2 = row[2], *x3 = row[3], *x4 = row[4], *x5 = row[5];
        INDEPENDENT
        for (ptrdiff_t i = 0; i < c; i++) {
            const REAL even = x4[i] - 4 * x2[i], odd = x3[i] - 4 * x1[i];
            const REAL near = x4[i] - x2[i], twice = 2 * (x3[i] - x1[i]);
            out[i] = 4 * x0[i] - 5 * x2[i] + x4[i];
            out[plane + i] = even + odd;
            out[2 * plane + i] = even - odd;
            out[3 * plane + i] = near + twice;
            out[4 * plane + i] = near - twice;
            out[5 * plane + i] = 4 * x1[i] - 5 * x3[i] + x5[i];
        }
    }
}

/* Results of a tile of F(4, 3) from its products m, whose planes are `plane` apart: y0 to y3 of channel
   i. */
#define FILTER_RESULTS                                                                             \
    const REAL sum1 = m[plane + i] + m[2 * plane + i];                                             \
    const REAL difference1 = m[plane + i] - m[2 * plane + i];                                      \
    const REAL sum2 = m[3 * plane + i] + m[4 * plane + i];                                         \
    const REAL difference2 = m[3 * plane + i] - m[4 * plane + i];                                  \
    const REAL y0 = m[i] + sum1 + sum2, y1 = difference1 + 2 * difference2;                        \
    const REAL y2 = sum1 + 4 * sum2, y3 = difference1 + 8 * difference2 + m[5 * plane + i];

INLINE REAL FN(rectified)(REAL z) { return z < 0 ? 0 : z; /* NaN stays */ }

/* Results of each tile, A' of its products (products, n_tiles, f), into rows[tile * outputs + i]: plus
   bias, and ReLU (forward); or plus added[...], and zero where gates[...], unless NULL, is not positive
   (backward). Rows outside the sentence point to a row that nobody reads, or to zeros. */
static void FN(filter_outputs)(ptrdiff_t outputs, ptrdiff_t n_products, ptrdiff_t n_tiles,
                               const REAL *products, ptrdiff_t f, REAL *const *rows,
                               const REAL *bias, const REAL *const *added, const REAL *const *gates)
{
    const ptrdiff_t plane = n_tiles * f;
    for (ptrdiff_t tile = 0; tile < n_tiles; tile++) {
        const REAL *m = products + tile * f;
        REAL *const *row = rows + tile * outputs;
        const REAL *const *add = added + tile * outputs, *const *gate = gates + tile * outputs;
        if (outputs == 1) {
            for (ptrdiff_t i = 0; i < f; i++) {
                REAL sum = m[i];
                for (ptrdiff_t k = 1; k < n_products; k++)
                    sum += m[k * plane + i];
                if (bias)
                    row[0][i] = FN(rectified)(sum + bias[i]);
                else
                    row[0][i] = gates && !(gate[0][i] > 0) ? 0 : sum + add[0][i];
            }
            continue;
        }
        REAL *out0 = row[0], *out1 = row[1], *out2 = row[2], *out3 = row[3];
        if (bias) {
            INDEPENDENT
            for (ptrdiff_t i = 0; i < f; i++) {
                FILTER_RESULTS
                out0[i] = FN(rectified)(y0 + bias[i]);
                out1[i] = FN(rectified)(y1 + bias[i]);
                out2[i] = FN(rectified)(y2 + bias[i]);
                out3[i] = FN(rectified)(y3 + bias[i]);
            }
            continue;
        }
        const REAL *add0 = add[0], *add1 = add[1], *add2 = add[2], *add3 = add[3];
        if (gates) {
            const REAL *gate0 = gate[0], *gate1 = gate[1], *gate2 = gate[2], *gate3 = gate[3];
            INDEPENDENT
            for (ptrdiff_t i = 0; i < f; i++) {
                FILTER_RESULTS
                out0[i] = gate0[i] > 0 ? y0 + add0[i] : 0;
                out1[i] = gate1[i] > 0 ? y1 + add1[i] : 0;
                out2[i] = gate2[i] > 0 ? y2 + add2[i] : 0;
                out3[i] = gate3[i] > 0 ? y3 + add3[i] : 0;
            }
        } else {
            INDEPENDENT
            for (ptrdiff_t i = 0; i < f; i++) {
                FILTER_RESULTS
                out0[i] = y0 + add0[i];
                out1[i] = y1 + add1[i];
                out2[i] = y2 + add2[i];
                out3[i] = y3 + add3[i];
            }
        }
    }
}
#undef FILTER_RESULTS

/* Row k of `filter_inputs` alone: input (n_tiles, c). */
static void FN(filter_input)(ptrdiff_t outputs, ptrdiff_t products, ptrdiff_t k, ptrdiff_t n_tiles,
                             const REAL *const *rows, ptrdiff_t c, REAL *input)
{
    for (ptrdiff_t tile = 0; tile < n_tiles; tile++) {
        const REAL *const *row = rows + tile * products;
        REAL *out = input + tile * c;
        if (outputs == 1) {
            memcpy(out, row[k], (size_t)c * sizeof(REAL));
            continue;
        }
        if (k == 0 || k == 5) { /* 4 x0 - 5 x2 + x4, or the same one row on */
            const REAL *first = row[k == 5], *middle = row[2 + (k == 5)], *last = row[4 + (k == 5)];
            INDEPENDENT
            for (ptrdiff_t i = 0; i < c; i++)
                out[i] = 4 * first[i] - 5 * middle[i] + last[i];
        } else {
            const REAL *x1 = row[1], *x2 = row[2], *x3 = row[3], *x4 = row[4];
            const REAL inner = k < 3 ? 4 : 1, outer = (REAL)((k < 3 ? 1 : 2) * (k % 2 ? 1 : -1));
            INDEPENDENT
            for (ptrdiff_t i = 0; i < c; i++)
                out[i] = (x4[i] - inner * x2[i]) + outer * (x3[i] - inner * x1[i]);
        }
    }
}

/* Row k of A of the gradients of each tile's results, in panels (ceil(f / width), n_tiles, width) whose
   starts are `panel_stride` apart. */
static void FN(filter_delta)(ptrdiff_t outputs, ptrdiff_t k, ptrdiff_t n_tiles, const REAL *const *rows,
                             ptrdiff_t f, REAL *panels, ptrdiff_t panel_stride)
{
    const ptrdiff_t width = PANEL_WIDTH(REAL);
    static const int A[6][4] = {{1, 0, 0, 0}, {1, 1, 1, 1},   {1, -1, 1, -1},
                                {1, 2, 4, 8}, {1, -2, 4, -8}, {0, 0, 0, 1}};
    for (ptrdiff_t tile = 0; tile < n_tiles; tile++)
        for (ptrdiff_t first = 0; first < f; first += width) {
            const ptrdiff_t n = f - first < width ? f - first : width;
            REAL *out = panels + first / width * panel_stride + tile * width;
            if (outputs == 1) {
                memcpy(out, rows[tile] + first, (size_t)n * sizeof(REAL));
            } else {
                const REAL *y0 = rows[tile * 4] + first, *y1 = rows[tile * 4 + 1] + first;
                const REAL *y2 = rows[tile * 4 + 2] + first, *y3 = rows[tile * 4 + 3] + first;
                const REAL a0 = (REAL)A[k][0], a1 = (REAL)A[k][1], a2 = (REAL)A[k][2], a3 = (REAL)A[k][3];
                INDEPENDENT
                for (ptrdiff_t i = 0; i < n; i++)
                    out[i] = (a0 * y0[i] + a2 * y2[i]) + (a1 * y1[i] + a3 * y3[i]);
            }
            if (n < width)
                memset(out + n, 0, (size_t)(width - n) * sizeof(REAL));
        }
}

/* ---- optimisers ------------------------------------------------------------------------------- */

static void FN(adam_row)(ptrdiff_t d, REAL *restrict param, const REAL *restrict grad,
                         REAL *restrict first, REAL *restrict second, REAL rate, double beta1,
                         double beta2, REAL correction2, REAL epsilon, REAL scale, REAL l2)
{
    /* 1 - beta is taken in double: in single precision 1 - 0.999 loses seven bits. */
    const REAL old1 = (REAL)beta1, new1 = (REAL)(1 - beta1);
    const REAL old2 = (REAL)beta2, new2 = (REAL)(1 - beta2);
    for (ptrdiff_t c = 0; c < d; c++) {
        const REAL g = scale * grad[c] + l2 * param[c];
        first[c] = old1 * first[c] + new1 * g;
        second[c] = old2 * second[c] + new2 * g * g;
        param[c] -= rate * first[c] / (SQRT(second[c] * correction2) + epsilon);
    }
}

static void FN(adadelta_row)(ptrdiff_t d, REAL *restrict param, const REAL *restrict grad,
                             REAL *restrict acc_grad, REAL *restrict acc_update, REAL rate,
                             double rho, REAL epsilon, REAL scale, REAL l2)
{
    const REAL old = (REAL)rho, new = (REAL)(1 - rho);
    for (ptrdiff_t c = 0; c < d; c++) {
        const REAL g = scale * grad[c] + l2 * param[c];
        acc_grad[c] = old * acc_grad[c] + new * g * g;
        const REAL update = SQRT(acc_update[c] + epsilon) / SQRT(acc_grad[c] + epsilon) * g;
        acc_update[c] = old * acc_update[c] + new * update * update;
        param[c] -= rate * update;
    }
}

static void FN(sgd_row)(ptrdiff_t d, REAL *restrict param, const REAL *restrict grad,
                        REAL *restrict velocity, REAL rate, REAL momentum, int nesterov, REAL scale,
                        REAL l2)
{
    for (ptrdiff_t c = 0; c < d; c++) {
        const REAL step = rate * (scale * grad[c] + l2 * param[c]);
        velocity[c] = momentum * velocity[c] - step;
        param[c] += nesterov ? momentum * velocity[c] - step : velocity[c];
    }
}

#undef FN
#undef VEC
#undef LOADED
#undef IVEC
