"""What OpenMP offers in this build and process."""


def openmp_version():
    """The ``_OPENMP`` date of the compiler (such as 201511), or 0 for a build without OpenMP."""
    return TEXTCNN_OPENMP


def max_threads():
    """Threads that OpenMP would use: ``OMP_NUM_THREADS`` or the number of processors."""
    return omp_get_max_threads()


def compiler():
    """Name and version of the C compiler that built this module."""
    return (<bytes>TEXTCNN_COMPILER).decode()
