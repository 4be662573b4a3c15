/* SPDX-License-Identifier: MIT */
#include "api/live_frame.h"

#define LISTS 5

void live_frame_init(struct live_frame *f)
{
    struct buf *lists[LISTS] = {&f->models, &f->figures, &f->removed, &f->requests, &f->ended};
    for (size_t i = 0; i < LISTS; i++)
        buf_init(lists[i], BUF_OWN);
}

void live_frame_finish(struct live_frame *f)
{
    struct buf *lists[LISTS] = {&f->models, &f->figures, &f->removed, &f->requests, &f->ended};
    for (size_t i = 0; i < LISTS; i++)
        buf_finish(lists[i]);
}

size_t live_frame_len(const struct live_frame *f)
{
    return f->models.len + f->figures.len + f->removed.len + f->requests.len + f->ended.len;
}

struct buf *live_frame_next(struct buf *list)
{
    if (list->len)
        buf_puts(list, ",");
    return list;
}

static void write_list(struct buf *out, const char *event, const char *member, struct buf *list)
{
    if (!list->len)
        return;
    buf_printf(out, "event: %s\ndata: {\"%s\":[", event, member);
    buf_append(out, list->data, list->len);
    buf_puts(out, "]}\n\n");
    buf_clear(list);
}

static void write_requests(struct buf *out, struct buf *requests, struct buf *ended)
{
    if (!requests->len && !ended->len)
        return;
    buf_puts(out, "event: requests\ndata: {\"requests\":[");
    buf_append(out, requests->data, requests->len);
    buf_puts(out, "],\"ended\":[");
    buf_append(out, ended->data, ended->len);
    buf_puts(out, "]}\n\n");
    buf_clear(requests);
    buf_clear(ended);
}

void live_frame_write(struct live_frame *f, struct buf *out)
{
    write_list(out, "removed", "models", &f->removed);
    write_list(out, "models", "models", &f->models);
    write_list(out, "figures", "models", &f->figures);
    write_requests(out, &f->requests, &f->ended);
}
