/* SPDX-License-Identifier: MIT */
/*
 * Models in the Hugging Face cache, where llama.cpp downloads to:
 *
 *     models--USER--REPO/refs/main                    names the commit
 *     models--USER--REPO/snapshots/COMMIT/SUB/F.gguf  a link into blobs, or the file itself
 *     models--USER--REPO/blobs/OID
 *
 * Ids are those that llama.cpp's router lists, `user/repo:TAG` with the tag that ends the file's
 * name (`-Q4_K_M.gguf`, `.bf16.gguf`), in capitals. Where it leaves a choice to the order in which
 * the file system lists names, here byte order decides; and an id is the file that has its tag:
 * llama.cpp searches the tag in the whole path, and may load x-BF16.gguf for `:F16`.
 *
 * Left out, unlike there: names that are not UTF-8 or hold control characters, macOS's stubs
 * (`._x.gguf`), links to what is no regular file. Listed as there, but with a problem set: links to
 * nothing, split models that lack a shard, importance matrices.
 */
#ifndef HOSTLER_CATALOG_CACHE_H
#define HOSTLER_CATALOG_CACHE_H

#include "base/error.h"
#include "catalog/folder.h"

/* Folders in folders of a snapshot. Repositories have one or two; it bounds the stack. */
#define CACHE_MAX_DEPTH 16

/* The cache's folder as llama.cpp finds it, by the variables of `env` (an `environ`), else by the
 * user's home; NULL when there is neither. The caller frees it. */
char *cache_folder(char *const *env);

/*
 * Lists the cache `dir`. `path` is the one in the snapshot, as llama.cpp gives it to itself; size
 * and times are the blob's. `draft` is always NULL: llama.cpp takes a draft of the repository only
 * when it is told to (--spec-type). A folder that does not exist is an empty list; what may
 * not be read below it is left out with a warning, and a temporary error (file_error_passes())
 * fails the reading. `out` is to be finished either way. Blocking, like
 * folder_read().
 */
int cache_read(struct folder *out, const char *dir, struct error *err)
    __attribute__((warn_unused_result));

/*
 * Removes the model `id` from the cache `dir`: its files (all shards; all files of that tag, as
 * they share the id) from every snapshot of the repository, then those of their blobs that no file
 * of any snapshot refers to any more. 0; -ENOENT when there is no such model; -EINVAL when `id` is
 * none of a cache; other negative errnos when something could not be removed, and then no blob is.
 *
 * What stays: an mmproj, even when no model is left that could use it (llama.cpp leaves it too,
 * unless its tag is the model's: then it removes it under other models that need it); what another
 * download left half done; and the folders, as empty as they may be: they cost nothing, and the
 * next download uses them.
 *
 * Nothing outside `dir` is touched: of a link that leads elsewhere only the link goes, and where a
 * folder on the way is a link itself nothing does (-ELOOP). Blocking: call it in the thread pool.
 */
int cache_remove(const char *dir, const char *id, struct error *err)
    __attribute__((warn_unused_result));

#endif
