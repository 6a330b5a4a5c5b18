"""Thread counts; compiles with and without OpenMP."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define TEXTCNN_OPENMP _OPENMP
    #else
    #define TEXTCNN_OPENMP 0
    #define omp_get_max_threads() 1
    #endif
    #if defined(__clang__)
    #define TEXTCNN_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define TEXTCNN_COMPILER "GCC " __VERSION__
    #elif defined(_MSC_VER)
    #define TEXTCNN_COMPILER "Microsoft C"
    #else
    #define TEXTCNN_COMPILER "unknown"
    #endif
    """
    const int TEXTCNN_OPENMP
    const char *TEXTCNN_COMPILER
    int omp_get_max_threads() noexcept nogil


cdef int team_size(int n_threads, double n_operations) noexcept nogil
