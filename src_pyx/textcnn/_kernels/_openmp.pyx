"""What OpenMP offers in this build and process, and how many threads a piece of work is worth."""

from cpython.pycapsule cimport PyCapsule_New

# What the modules tell each other about the interpreter's lock; see _gil.h.
cdef int is_busy = 0
python_is_busy = PyCapsule_New(&is_busy, "textcnn._kernels._openmp.python_is_busy", NULL)

# Work that repays waking a team, about, in multiply-add operations of a matrix product (100 microseconds).
# Two threads save half of it, and waking one that sleeps takes 30 to 90 microseconds, by machine.
cdef double operations_per_team = 8_000_000


cdef int team_size(int n_threads, double n_operations) noexcept nogil:
    """`n_threads`, or 1 if there is too little work to repay a team. Never changes a result."""
    return max(1, n_threads) if n_operations > operations_per_team else 1


def set_operations_per_team(double n_operations):
    """Give teams to work of more than so many operations; for tests, which want them for little work, too."""
    global operations_per_team
    operations_per_team = n_operations


def openmp_version():
    """The ``_OPENMP`` date of the compiler (such as 201511), or 0 for a build without OpenMP."""
    return TEXTCNN_OPENMP


def max_threads():
    """Threads that OpenMP would use: ``OMP_NUM_THREADS`` or the number of processors."""
    return omp_get_max_threads()


def compiler():
    """Name and version of the C compiler that built this module."""
    return (<bytes>TEXTCNN_COMPILER).decode()
