/* SPDX-License-Identifier: MIT */
/*
 * Small files that are there as a whole or not at all, whenever the process or the machine ends: written as `NAME.next`,
 * synchronised, renamed. `folder` is a descriptor, or AT_FDCWD. All touch the disk; errors are negative errnos.
 */
#ifndef HOSTLER_BASE_WHOLE_FILE_H
#define HOSTLER_BASE_WHOLE_FILE_H

#include <stddef.h>

#include "base/buf.h"

/* With mode 0600. After an error the file is as it was. That it survives a power failure is only certain once the
 * folder is synchronised, too. */
int whole_file_write(int folder, const char *name, const char *data, size_t len)
    __attribute__((warn_unused_result));
/* Appends all of it. -ENOBUFS: it is larger than the buffer may be; -ELOOP: a link. */
int whole_file_read(int folder, const char *name, struct buf *out)
    __attribute__((warn_unused_result));

/* write() until all is written: a full disk may take a part. */
int whole_file_write_all(int fd, const char *data, size_t len) __attribute__((warn_unused_result));

#endif
