/* SPDX-License-Identifier: MIT */
/*
 * Memory that is set aside at the start of the daemon, in blocks, so that a client that uses memory up
 * cannot end it. When malloc() fails for a small allocation, a block is given back to malloc() and the
 * allocation is tried again; from then on memory is short, until all blocks could be set aside anew.
 *
 * Who may have the blocks:
 *   may fail (mem_try_…, struct buf): up to half of the blocks, for allocations of at most MEM_SMALL. While
 *     memory is short, larger ones fail at once; when half of the blocks are gone, all fail at once.
 *   must not fail (mem_zalloc …): all blocks. When none is left, the daemon aborts.
 * So what a client can repeat, or choose the size of, may fail, and never touches the second half. While
 * memory is short the server refuses new requests (http/connections.h), so that what the daemon must have
 * until then is bounded: docs/design.md, "Memory that runs out".
 *
 * The blocks are not touched: what makes malloc() fail (RLIMIT_AS, RLIMIT_DATA, overcommitting forbidden)
 * counts them all the same. Where the limit of a control group is passed, the kernel kills, and no reserve helps.
 */
#ifndef HOSTLER_BASE_MEMORY_RESERVE_H
#define HOSTLER_BASE_MEMORY_RESERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define MEM_SMALL ((size_t)16 * 1024) /* bytes: what may have memory from the reserve */

/* Blocks that were given back; 0: memory is not short. Read only. */
extern atomic_uint memory_reserve_missing;

/* Sets the reserve aside. Without it, nothing is ever short, and the first failure counts. */
void memory_reserve_init(void);
void memory_reserve_finish(void);
/* Gives a block back to malloc(); false: none is left. Any thread may call it. */
bool memory_reserve_use(void);
/* Sets aside anew what can be; true: memory is not short any more. */
bool memory_reserve_refill(void);

static inline bool memory_is_short(void)
{
    return atomic_load_explicit(&memory_reserve_missing, memory_order_relaxed) != 0;
}

#define MEMORY_RESERVE_BLOCKS 64
#define MEMORY_RESERVE_BLOCK ((size_t)128 * 1024)

/* Whether an allocation that may fail can have `size` bytes now. */
static inline bool memory_reserve_permits(size_t size)
{
    unsigned missing = atomic_load_explicit(&memory_reserve_missing, memory_order_relaxed);
    return !missing || (size <= MEM_SMALL && missing < MEMORY_RESERVE_BLOCKS / 2);
}

#endif
