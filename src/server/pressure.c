/* SPDX-License-Identifier: MIT */
#include "server/pressure.h"

#include <unistd.h>

static void note(struct pressure *p)
{
    if (!p->listening)
        return;
    pressure_ignore(p);
    p->felt(p);
}

/* An error: the kernel has taken the trigger away, as that of a group that was removed. */
static void on_trigger(uv_poll_t *poll, int status, int events)
{
    struct pressure *p = poll->data;
    (void)events;
    if (status)
        uv_poll_stop(poll);
    else
        note(p);
}

static void on_event(uv_fs_event_t *watch, const char *name, int events, int status)
{
    (void)name, (void)events;
    if (!status)
        note(watch->data);
}

void pressure_init(struct pressure *p, uv_loop_t *loop, int fd, const char *file,
                   void (*felt)(struct pressure *p))
{
    *p = (struct pressure){.felt = felt, .fd = -1, .file = file, .open = 1};
    uv_fs_event_init(loop, &p->events);
    p->events.data = p->trigger.data = p;
    if (fd < 0)
        return;
    if (uv_poll_init(loop, &p->trigger, fd)) {
        close(fd);
        return;
    }
    p->fd = fd;
    p->open++;
}

/* Where one cannot be listened to, for want of descriptors or memory, the readings must do. */
void pressure_listen(struct pressure *p)
{
    if (p->listening)
        return;
    p->listening = true;
    if (p->fd >= 0)
        uv_poll_start(&p->trigger, UV_PRIORITIZED, on_trigger);
    if (p->file)
        uv_fs_event_start(&p->events, on_event, p->file, 0);
}

void pressure_ignore(struct pressure *p)
{
    p->listening = false;
    if (p->fd >= 0)
        uv_poll_stop(&p->trigger);
    uv_fs_event_stop(&p->events);
}

static void on_closed(uv_handle_t *handle)
{
    struct pressure *p = handle->data;
    if (--p->open)
        return;
    if (p->fd >= 0)
        close(p->fd);
    p->closed(p);
}

void pressure_close(struct pressure *p, void (*closed)(struct pressure *p))
{
    p->closed = closed;
    pressure_ignore(p);
    uv_close((uv_handle_t *)&p->events, on_closed);
    if (p->fd >= 0)
        uv_close((uv_handle_t *)&p->trigger, on_closed);
}
