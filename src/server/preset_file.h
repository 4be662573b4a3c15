/* SPDX-License-Identifier: MIT */
/*
 * The file of presets as an editor needs it: its text, whether it may be written, and writing it. It is replaced as a whole, with
 * its mode, owner and access list; a link stays one, and the file that it leads to is replaced. All of this touches the disk:
 * call it in the pool.
 */
#ifndef HOSTLER_SERVER_PRESET_FILE_H
#define HOSTLER_SERVER_PRESET_FILE_H

#include <stdbool.h>

#include "base/error.h"
#include "server/config.h"

#define PRESET_FILE_TAG 36
#define PRESET_FILE_MAX                                                                            \
    ((size_t)768 * 1024) /* bytes of a text that is edited here: as JSON it fits a request */

struct preset_file {
    char *text;                /* NULL: it is not there, or `problem` says why it cannot be read */
    char tag[PRESET_FILE_TAG]; /* of its content; empty: it is not there */
    char *obstacle;            /* why it cannot be written here; NULL: it can */
    char *problem;
};

/* `c->models_preset`. */
void preset_file_read(struct preset_file *f, const struct config *c);
void preset_file_finish(struct preset_file *f);

/*
 * Replaces the text whose tag is `tag`; empty: there is no file yet. `out_tag`: of the new text. 0, or with a text: -ESTALE: the
 * file has another content by now; -EPERM: it cannot be written here; others: the file is as it was.
 */
int preset_file_write(const struct config *c, const char *tag, const char *text,
                      char out_tag[PRESET_FILE_TAG], struct error *err)
    __attribute__((warn_unused_result));

#endif
