/* SPDX-License-Identifier: MIT */
/* Pictures that go with a prompt: files of this machine, sent within the request. */
#ifndef HOSTLER_CLI_RUN_IMAGE_H
#define HOSTLER_CLI_RUN_IMAGE_H

#include <stddef.h>

#include "base/error.h"
#include "base/strv.h"

#define RUN_IMAGE_MAX ((size_t)20 << 20) /* bytes of a file */

/* What the file holds as a `data:` URL, which the caller frees. A negative errno with a text that
 * names the file. */
int run_image_read(const char *path, char **url, struct error *err)
    __attribute__((warn_unused_result));
/*
 * The words of `text` that are the name of an image: added to `paths` where such a file is there, to
 * `missing` where not. A text that is nothing but a name may hold blanks; a word has them in quotes or
 * after backslashes, as terminals write what is dropped on them; `~/` is the home folder.
 * Punctuation after a name is none of it.
 */
void run_image_find(const char *text, struct strv *paths, struct strv *missing);

/* --- pure ---------------------------------------------------------------------------------------
 */

/* `image/png`, …, by the first bytes; NULL for what is no image. */
const char *run_image_type(const unsigned char *data, size_t len);
/* RFC 4648, section 4. The caller frees it. */
char *run_image_base64(const unsigned char *data, size_t len);

#endif
