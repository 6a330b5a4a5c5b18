/* Memory of a kernel's call that is kept for the next one.

   What is freed may go back to the system at once: glibc does that with blocks of 128 KB and more where
   MALLOC_TRIM_THRESHOLD_ is set, as it is in Dask's workers, and the next call then waits for hundreds of pages
   to be mapped and zeroed again. A small tagger's fit took 1.5 times as long.

   Each slot holds a block that nobody uses, or NULL, and is only ever exchanged whole: no locks, so that neither
   threads nor forked processes can get stuck. */

#ifndef TEXTCNN_SCRATCH_H
#define TEXTCNN_SCRATCH_H

#include <stddef.h>
#include <stdlib.h>

#if defined(__GNUC__)
#define exchange_slot(slot, block) __atomic_exchange_n(slot, block, __ATOMIC_ACQ_REL)
#else
#include <intrin.h>
#define exchange_slot(slot, block) _InterlockedExchangePointer((void *volatile *)(slot), block)
#endif

/* Blocks that a module keeps, and the bytes of the largest. */
enum { KEPT_BLOCKS = 4, LARGEST_KEPT = 1 << 22 };

/* What stands before the memory of a block, as long as the strictest alignment. */
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
        block = (block_header *)exchange_slot(&kept_blocks[i], NULL);
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
        for (int i = 0; i < KEPT_BLOCKS && block != NULL; i++)
            block = (block_header *)exchange_slot(&kept_blocks[i], block);
#endif
    free(block);
}

#endif
