/* SPDX-License-Identifier: MIT */
/*
 * Which models there are: the models folder, the Hugging Face cache and the presets, put together.
 * A name that several know is the folder's model before the cache's, and a preset's on top: the
 * section adds its options, and its file if it gives one. In classic mode it is the one model.
 */
#ifndef HOSTLER_SERVER_SOURCES_H
#define HOSTLER_SERVER_SOURCES_H

#include "catalog/folder.h"
#include "server/presets.h"

struct sources {
    struct presets presets;
    char *preset_text; /* of which they were read, if the file was; NULL */
    struct folder models;
    struct strv folders; /* in which models may come and go */
    bool lacks_folder;   /* also on error: a folder could not be read, which may pass */
};

/*
 * Reads them all. Blocking, and made for the thread pool: it looks at its arguments only.
 * `preset_text`: take the presets from this instead of from their file, and let a section be without
 * a model; NULL: from the file, where that is a mistake. On error, with a text, there is nothing to
 * finish.
 */
int sources_read(struct sources *s, const struct config *c, const char *preset_text,
                 struct error *err) __attribute__((warn_unused_result));
void sources_finish(struct sources *s);

#endif
