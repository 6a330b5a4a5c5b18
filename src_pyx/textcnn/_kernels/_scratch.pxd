"""Memory of a kernel's call that is kept for the next one; see the header."""

cdef extern from "_scratch.h" nogil:
    void *borrow(size_t n)
    void give_back(void *memory)
