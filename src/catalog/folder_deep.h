/* SPDX-License-Identifier: MIT */
/*
 * The models that lie too deep in a models folder to be listed: a folder in it is one model, and folders within that are
 * not looked into, as in llama.cpp. Other programs store models as PUBLISHER/REPOSITORY/FILE, so that somebody
 * who names their folder finds an empty list.
 */
#ifndef HOSTLER_CATALOG_FOLDER_DEEP_H
#define HOSTLER_CATALOG_FOLDER_DEEP_H

#include <stdbool.h>

#include "base/strv.h"

/*
 * Adds a text for a person on such a file, one for each folder of `dir` that holds any. Not on companions, on hidden
 * folders, nor on files that `is_known` (models by other means) knows. Links to folders are followed in `dir`
 * only. Blocking: opens at most 512 folders, down to four levels below `dir`; what cannot be read is passed over.
 */
void folder_deep_notes(struct strv *notes, const char *dir,
                       bool (*is_known)(const char *path, void *ctx), void *ctx);

#endif
