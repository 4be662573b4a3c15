/* SPDX-License-Identifier: MIT */
#include "cli/cells.h"

#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/format.h"

char *cells_memory(json_t *memory)
{
    struct buf b;
    const char *device;
    json_t *bytes;
    char figure[FORMAT_SIZE];
    buf_init(&b, BUF_UNBOUNDED);
    json_object_foreach (memory, device, bytes) {
        if (json_integer_value(bytes) <= 0)
            continue;
        format_bytes((uint64_t)json_integer_value(bytes), figure, sizeof figure);
        buf_printf(&b, "%s%s %s", b.len ? ", " : "", device, figure);
    }
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

enum table_style cells_state_style(const char *state)
{
    if (strcmp(state, "loaded") == 0)
        return TABLE_GOOD;
    if (strncmp(state, "failed", strlen("failed")) == 0)
        return TABLE_BAD;
    if (strcmp(state, "unloaded") == 0 || strcmp(state, "sleeping") == 0)
        return TABLE_FAINT;
    return TABLE_BUSY;
}
