/* SPDX-License-Identifier: MIT */
#include "server/model_set.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

/* An entry; the set is its first one, as uthash has it. */
struct model_set {
    const struct model *model;
    size_t number;
    UT_hash_handle hh;
};

bool model_set_add(struct model_set **set, const struct model *model, size_t number)
{
    if (model_set_find(*set, model, NULL))
        return false;
    struct model_set *entry = mem_zalloc(sizeof *entry);
    entry->model = model;
    entry->number = number;
    HASH_ADD_PTR(*set, model, entry);
    return true;
}

bool model_set_find(const struct model_set *set, const struct model *model, size_t *number)
{
    struct model_set *entry;
    HASH_FIND_PTR(set, &model, entry);
    if (entry && number)
        *number = entry->number;
    return entry != NULL;
}

void model_set_finish(struct model_set **set)
{
    struct model_set *entry, *next;
    HASH_ITER (hh, *set, entry, next) {
        HASH_DEL(*set, entry); // NOLINT(clang-analyzer-unix.Malloc): uthash holds it no more
        free(entry);
    }
}
