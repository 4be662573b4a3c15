/* SPDX-License-Identifier: MIT */
#include "base/memory_reserve.h"

#include <pthread.h>
#include <stdlib.h>

atomic_uint memory_reserve_missing;

#define FIRST_PARTS 4 /* so large that each is smaller than what malloc() maps (mem_tune()) */

/* Of the heap, so that malloc() can hand out any piece of what is given back. At first there are few parts of many
 * blocks, since each costs a page; what is set aside anew are single blocks, which a heap in pieces still has. */
struct part {
    void *data;
    unsigned blocks;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct part part[MEMORY_RESERVE_BLOCKS];
static unsigned n_parts, n_kept, n_wanted;

static void tell(void)
{
    atomic_store(&memory_reserve_missing, n_wanted - n_kept);
}

static bool add_part(unsigned blocks)
{
    void *data = malloc(blocks * MEMORY_RESERVE_BLOCK);
    if (!data)
        return false;
    part[n_parts++] = (struct part){data, blocks};
    n_kept += blocks;
    return true;
}

void memory_reserve_init(void)
{
    pthread_mutex_lock(&mutex);
    n_wanted = MEMORY_RESERVE_BLOCKS;
    for (unsigned i = 0; i < FIRST_PARTS; i++)
        (void)add_part(MEMORY_RESERVE_BLOCKS / FIRST_PARTS); /* without: short from the beginning */
    tell();
    pthread_mutex_unlock(&mutex);
}

static void drop_part(void)
{
    n_kept -= part[--n_parts].blocks;
    free(part[n_parts].data);
}

void memory_reserve_finish(void)
{
    pthread_mutex_lock(&mutex);
    while (n_parts)
        drop_part();
    n_wanted = 0;
    tell();
    pthread_mutex_unlock(&mutex);
}

/* Of the last part one block, or all of it where it cannot be cut. */
static void give_back(void)
{
    struct part *p = &part[n_parts - 1];
    void *rest = p->blocks > 1 ? realloc(p->data, (p->blocks - 1) * MEMORY_RESERVE_BLOCK) : NULL;
    if (!rest) {
        drop_part();
        return;
    }
    p->data = rest;
    p->blocks--;
    n_kept--;
}

bool memory_reserve_use(void)
{
    pthread_mutex_lock(&mutex);
    bool has = n_parts;
    if (has)
        give_back();
    tell();
    pthread_mutex_unlock(&mutex);
    return has;
}

bool memory_reserve_refill(void)
{
    if (!memory_is_short())
        return true;
    pthread_mutex_lock(&mutex);
    while (n_kept < n_wanted && add_part(1))
        ;
    tell();
    bool full = n_kept == n_wanted;
    pthread_mutex_unlock(&mutex);
    return full;
}
