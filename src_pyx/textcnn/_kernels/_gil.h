/* How a kernel waits for the interpreter's lock (the GIL) when it is done.

   Where several threads use the package, one mostly needs the lock for the few microseconds between two
   kernels. A thread that comes out of a kernel just then would be put to sleep, and waking it takes 20 to 90
   microseconds on a virtual machine: two fits of a small tagger in two threads took a fifth longer, and eight
   threads that predicted batches of 50 texts did fewer than one. So it first spins until the other is in a kernel
   again, for as long as waking would take.

   The interpreter has no public way to ask whether its lock is free. What stands in for it says whether a thread
   came out of a kernel of this package, and none has gone into one since. It is a hint, and may be wrong: that
   thread may have ended, or be waiting for something else. Then those that come out of a kernel spin for
   MOST_NANOSECONDS in vain, until one goes into a kernel and so takes the hint back.

   The compiler includes this file before each module (see setup.py), whose calls it takes the place of. */

#ifndef TEXTCNN_GIL_H
#define TEXTCNN_GIL_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <time.h>

#define PYTHON_IS_BUSY "textcnn._kernels._openmp.python_is_busy"

enum { MOST_NANOSECONDS = 50000 };

/* The hint that all modules share: 1 from when a thread comes out of a kernel until one goes into a kernel. */
static int *python_is_busy;

static inline int *shared_hint(void)
{
    static int of_this_module;
    int *shared = (int *)PyCapsule_Import(PYTHON_IS_BUSY, 0);
    if (shared != NULL)
        return shared;
    PyErr_Clear();
    return &of_this_module;
}

static inline long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline PyThreadState *enter_kernel(void)
{
    if (python_is_busy == NULL)
        python_is_busy = shared_hint();
    PyThreadState *state = PyEval_SaveThread();
    /* Only now: whoever spins would find the lock still held, and be put to sleep. */
    __atomic_store_n(python_is_busy, 0, __ATOMIC_RELAXED);
    return state;
}

static inline void leave_kernel(PyThreadState *state)
{
    if (__atomic_load_n(python_is_busy, __ATOMIC_RELAXED)) {
        long long until = nanoseconds() + MOST_NANOSECONDS;
        do {
            relax();
        } while (__atomic_load_n(python_is_busy, __ATOMIC_RELAXED) && nanoseconds() < until);
    }
    PyEval_RestoreThread(state);
    __atomic_store_n(python_is_busy, 1, __ATOMIC_RELAXED);
}

#if !defined(Py_GIL_DISABLED)
#define PyEval_SaveThread enter_kernel
#define PyEval_RestoreThread leave_kernel
#endif

#endif
