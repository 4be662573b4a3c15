/* SPDX-License-Identifier: MIT */
/*
 * Files below a folder, as a request's path names them. They are opened without leaving the folder: neither `..` nor a
 * symbolic link leads out of it, also when somebody exchanges files meanwhile. All of this may wait for a disk: call it in the
 * pool.
 */
#ifndef HOSTLER_HTTP_STATIC_FILE_H
#define HOSTLER_HTTP_STATIC_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct static_file {
    int fd;
    uint64_t size;
    time_t modified;
};

/*
 * `path` is decoded and begins with a slash; one that ends with a slash means `index.html` there. 0; -ENOENT: there is no such
 * regular file; -EISDIR: a folder whose path lacks the last slash; -EACCES: it is not readable, or lies outside. On error no
 * file is open.
 */
int static_file_open(struct static_file *out, const char *folder, const char *path)
    __attribute__((warn_unused_result));
/* By the ending of its name, as llama-server says it. Static. */
const char *static_file_type(const char *path);

/* A weak entity tag as llama-server makes it: `W/"TIME-SIZE"` in hexadecimal; and a date as HTTP has it (RFC 9110, 5.6.7). */
#define STATIC_FILE_TEXT 64
void static_file_tag(const struct static_file *f, char out[STATIC_FILE_TEXT]);
void static_file_date(time_t t, char out[STATIC_FILE_TEXT]);
/* Whether the client has it already: by its If-None-Match, or without one by its If-Modified-Since; NULL: no such field. */
bool static_file_is_known(const struct static_file *f, const char *none_match, const char *since);

#endif
