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
    """
    const int TEXTCNN_OPENMP
    int omp_get_max_threads() noexcept nogil


# What starting and ending a team costs, about, in multiply-add operations.
cdef enum:
    OPERATIONS_PER_TEAM = 200_000


cdef inline int team_size(int n_threads, double n_operations) noexcept nogil:
    """`n_threads`, or 1 if there is too little work to repay a team. Never changes a result."""
    return n_threads if n_operations > OPERATIONS_PER_TEAM else 1
