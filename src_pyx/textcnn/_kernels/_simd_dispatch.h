/* Which of the compiled levels can this processor run? Included by _simd.pyx alone. */

#ifndef TEXTCNN_SIMD_DISPATCH_H
#define TEXTCNN_SIMD_DISPATCH_H

#include "_simd.h"

extern const simd_table textcnn_simd_generic;
#ifdef TEXTCNN_HAVE_X86_64_V2
extern const simd_table textcnn_simd_x86_64_v2;
#endif
#ifdef TEXTCNN_HAVE_X86_64_V3
extern const simd_table textcnn_simd_x86_64_v3;
#endif
#ifdef TEXTCNN_HAVE_X86_64_V4
extern const simd_table textcnn_simd_x86_64_v4;
#endif

const simd_table *const *textcnn_simd_tables(void)
{
    static const simd_table *tables[5];
    int n = 0;
    tables[n++] = &textcnn_simd_generic;
#ifdef TEXTCNN_HAVE_X86_64_V2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("sse4.2"))
        tables[n++] = &textcnn_simd_x86_64_v2;
#endif
#ifdef TEXTCNN_HAVE_X86_64_V3
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        tables[n++] = &textcnn_simd_x86_64_v3;
#endif
#ifdef TEXTCNN_HAVE_X86_64_V4
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        tables[n++] = &textcnn_simd_x86_64_v4;
#endif
    tables[n] = NULL;
    return tables;
}

#endif
