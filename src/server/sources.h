/* SPDX-License-Identifier: MIT */
/*
 * Which models there are, from the models folder, the Hugging Face cache and the presets. For the same name
 * the folder has precedence over the cache, and a section adds its options, and its file if it names one.
 * In classic mode there is one model.
 */
#ifndef HOSTLER_SERVER_SOURCES_H
#define HOSTLER_SERVER_SOURCES_H

#include "catalog/folder.h"
#include "server/presets.h"
#include "server/watched.h"

struct sources {
    struct presets presets;
    char *preset_text; /* the text of the presets, if their file was read; NULL */
    struct folder models;
    struct watched watched;
    bool lacks_folder; /* set on error, too: a folder could not be read, which may be temporary */
};

/*
 * Reads all sources. Blocking, for the thread pool: it uses only its arguments. `preset_text`: the presets'
 * text, with which an alias that is taken is no error; NULL: read the file, with which it is one. A section whose
 * model is not there is a model that is missing. On error, with a text, there is nothing to finish.
 */
int sources_read(struct sources *s, const struct config *c, const char *preset_text,
                 struct error *err) __attribute__((warn_unused_result));
/* The same of a router with `text` in place of the presets' file, as a trial: nothing is logged, and each mistake in the text is
 * reported. -EINVAL: there was one. */
int sources_try(struct sources *s, const struct config *c, const char *text, presets_report *report,
                void *ctx, struct error *err) __attribute__((warn_unused_result));
void sources_finish(struct sources *s);

#endif
