/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait in an unlinked file of a private folder, not in memory. The file is made, written, read
 * and closed in libuv's thread pool, one operation at a time: the loop never waits for the disk.
 */
#ifndef HOSTLER_HTTP_SPOOL_H
#define HOSTLER_HTTP_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Bytes of one read. */
#define SPOOL_READ_SIZE ((size_t)256 * 1024)

struct spool;

/* A folder for such files: `private_folder` if it is on a disk, else $TMPDIR or /var/tmp if that one is, where a
 * file without a name is private, too. NULL: there is none, and a file would take memory. Blocking. The result is
 * `private_folder`'s or the environment's. */
const char *spool_choose_folder(const char *private_folder);

/* A write has ended: spool_is_behind() and spool_error() may say something else now. */
typedef void spool_progress(void *ctx);
/* What a read brought; `len` is 0 after the last byte. `error`: 0 or a negative errno. */
typedef void spool_read_done(const char *data, size_t len, int error, void *ctx);

/* Copies `folder`. NULL: no memory. */
struct spool *spool_create(uv_loop_t *loop, const char *folder, spool_progress *progress,
                           void *ctx);
/* No callback follows. NULL-safe. */
void spool_destroy(struct spool *s);
/* Copies `data`. 0, -ENOMEM, or the error of an earlier write. */
int spool_append(struct spool *s, const void *data, size_t len) __attribute__((warn_unused_result));
/* Whether so much waits to be written that the sender must pause. */
bool spool_is_behind(const struct spool *s);
/* 0, or a negative errno: the file could not be made or written. */
int spool_error(const struct spool *s);
/* Reads from `offset`, once all that was appended is written. One at a time; `done` is never called from
 * inside. */
void spool_read(struct spool *s, uint64_t offset, spool_read_done *done, void *ctx);
/* `done` will not be called. */
void spool_read_cancel(struct spool *s);

#endif
