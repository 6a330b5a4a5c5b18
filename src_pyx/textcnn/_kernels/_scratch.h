/* Memory of a kernel's call that is kept for the next one.

   What is freed may go back to the system at once: glibc does that with blocks of 128 KB and more where
   MALLOC_TRIM_THRESHOLD_ is set, as it is in Dask's workers, and the next call then waits for hundreds of pages
   to be mapped and zeroed again. A small tagger's fit took 1.5 times as long.

   Each slot holds a block that nobody uses, or NULL, and is only ever taken or filled as a whole: no locks, so
   that neither threads nor forked processes can get stuck. */

#ifndef TEXTCNN_SCRATCH_H
#define TEXTCNN_SCRATCH_H

#include <stddef.h>
#include <stdlib.h>

#if defined(__GNUC__)
static inline void *empty_slot(void **slot)
{
    return __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
}
static inline int fill_slot(void **slot, void *block)
{
    void *expected = NULL;
    return __atomic_compare_exchange_n(slot, &expected, block, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
#else
#include <intrin.h>
static __inline void *empty_slot(void **slot)
{
    return _InterlockedExchangePointer((void *volatile *)slot, NULL);
}
static __inline int fill_slot(void **slot, void *block)
{
    return _InterlockedCompareExchangePointer((void *volatile *)slot, block, NULL) == NULL;
}
#endif

/* Blocks that a module keeps, and the bytes of the largest. */
enum { KEPT_BLOCKS = 4, LARGEST_KEPT = 1 << 22 };

/* What stands before the memory of a block, which keeps the alignment that malloc gives. */
typedef union {
    size_t capacity;
    char alignment[64];
} block_header;

static void *kept_blocks[KEPT_BLOCKS];

/* At least n bytes, not initialised, for `give_back`; NULL if there is no memory. */
static inline void *borrow(size_t n)
{
    block_header *block;
    for (int i = 0; i < KEPT_BLOCKS; i++) {
        block = (block_header *)empty_slot(&kept_blocks[i]);
        if (block != NULL && block->capacity >= n)
            return block + 1;
        free(block); /* too small: a larger one takes its place */
    }
    if (n > (size_t)-1 - sizeof(block_header))
        return NULL;
    block = (block_header *)malloc(sizeof(block_header) + n);
    if (block == NULL)
        return NULL;
    block->capacity = n;
    return block + 1;
}

/* Takes the memory of `borrow` back; NULL is nothing. */
static inline void give_back(void *memory)
{
    block_header *block;
    if (memory == NULL)
        return;
    block = (block_header *)memory - 1;
#if !defined(__SANITIZE_ADDRESS__) /* which is to see each use of memory that was given back */
    if (block->capacity <= LARGEST_KEPT)
        for (int i = 0; i < KEPT_BLOCKS; i++)
            if (fill_slot(&kept_blocks[i], block))
                return;
#endif
    free(block);
}

#endif
