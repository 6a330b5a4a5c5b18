/* The state of one row of a cache that several threads fill without locks.

   EMPTY -> FILLING by the one thread that claims the row, FILLING -> READY by the same thread once
   the row is written. A thread that finds a row FILLING computes it for itself and waits for nobody,
   so that a process forked in the middle of a fill is never stuck. */

#ifndef TEXTCNN_ATOMIC_H
#define TEXTCNN_ATOMIC_H

#include <stdint.h>

enum { ROW_EMPTY = 0, ROW_FILLING = 1, ROW_READY = 2 };

#if defined(__GNUC__)
static inline int row_is_ready(const uint8_t *state)
{
    return __atomic_load_n(state, __ATOMIC_ACQUIRE) == ROW_READY;
}
static inline int claim_row(uint8_t *state)
{
    uint8_t expected = ROW_EMPTY;
    return __atomic_compare_exchange_n(state, &expected, ROW_FILLING, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}
static inline void publish_row(uint8_t *state)
{
    __atomic_store_n(state, ROW_READY, __ATOMIC_RELEASE);
}
#else
#include <intrin.h>
static __inline int row_is_ready(const uint8_t *state)
{
    return _InterlockedCompareExchange8((volatile char *)state, ROW_READY, ROW_READY) == ROW_READY;
}
static __inline int claim_row(uint8_t *state)
{
    return _InterlockedCompareExchange8((volatile char *)state, ROW_FILLING, ROW_EMPTY) == ROW_EMPTY;
}
static __inline void publish_row(uint8_t *state)
{
    _InterlockedExchange8((volatile char *)state, ROW_READY);
}
#endif

#endif
