/* SPDX-License-Identifier: MIT */
#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/folders.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/whole_file.h"

struct state {
    uv_loop_t *loop;
    json_t *sections;
    char *path;   /* NULL: in memory only */
    int lock;     /* of the folder */
    bool changed; /* since it was last written */
    bool writing, closing;
    uv_work_t work;
    json_t *copy;      /* of `sections`, while it is written; owned by the pool, */
    int written;       /* and so is what came of it: 0, or an errno */
    int error;         /* errno of the last write; 0: it succeeded */
    uint64_t n_failed; /* writes that failed */
};

/* --- the file -----------------------------------------------------------------------------------
 */

static bool is_sound(const json_t *sections)
{
    const char *name;
    json_t *section;
    if (!json_is_object(sections))
        return false;
    json_object_foreach ((json_t *)sections, name, section)
        if (!json_is_object(section))
            return false;
    return true;
}

static void read_file(struct state *s)
{
    json_error_t why;
    json_t *sections = json_load_file(s->path, 0, &why);
    if (is_sound(sections)) {
        json_decref(s->sections);
        s->sections = sections;
        return;
    }
    json_decref(sections);
    if (access(s->path, F_OK))
        return;
    char *aside = mem_printf("%s.bad", s->path);
    log_warn("%s cannot be used (%s): it is kept as %s, and begun anew", s->path,
             sections ? "it is not what hostler writes" : why.text, aside);
    if (rename(s->path, aside))
        log_warn("cannot move it there: %s", strerror(errno));
    free(aside);
}

static int open_folder(struct state *s, const char *dir, struct error *err)
{
    int rc = folders_make(dir, 0700);
    char *lock = mem_printf("%s/lock", dir);
    if (!rc && (s->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        rc = -errno;
    free(lock);
    if (rc)
        return error_set(err, rc, "cannot write to the folder %s: %s; give another by --state-dir",
                         dir, strerror(-rc));
    if (flock(s->lock, LOCK_EX | LOCK_NB))
        return error_set(err, -EBUSY,
                         "another hostler uses the folder %s; give another by "
                         "--state-dir",
                         dir);
    s->path = mem_printf("%s/state.json", dir);
    read_file(s);
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* Shares the sections' values, because a value is never changed in place. The pool makes the text: 10,000
 * holds take 50 ms. */
static void take_copy(struct state *s)
{
    const char *name;
    json_t *section;
    json_text_begin();
    s->copy = json_object();
    json_object_foreach (s->sections, name, section)
        json_object_set_new(s->copy, name, json_copy(section));
    if (json_text_was_incomplete()) {
        json_decref(s->copy);
        s->copy = NULL; /* do_write() tells */
    }
    s->changed = false;
}

static void end_writing(struct state *s, int error)
{
    if (error) {
        s->changed = true; /* it is tried again with the next change, and at the end */
        s->n_failed++;
        log_error("cannot write %s: %s; a restart would lose the holds, pins and footprints since "
                  "the last write that succeeded (%llu failed)",
                  s->path, strerror(error), (unsigned long long)s->n_failed);
    } else if (s->error) {
        log_info("%s can be written again", s->path);
    }
    s->error = error;
}

static void do_write(uv_work_t *work)
{
    struct state *s = work->data;
    struct buf text;
    buf_init(&text, BUF_UNBOUNDED);
    bool whole = s->copy && !json_text_append(&text, s->copy, JSON_INDENT(1)) && buf_cstr(&text);
    s->written = whole ? -whole_file_write(AT_FDCWD, s->path, text.data, text.len) : ENOMEM;
    buf_finish(&text);
    json_decref(s->copy);
    s->copy = NULL;
}

static void begin(struct state *s);
static void end(struct state *s);

static void on_written(uv_work_t *work, int status)
{
    struct state *s = work->data;
    (void)status;
    end_writing(s, s->written);
    s->writing = false;
    if (s->closing)
        end(s);
    else if (s->changed && !s->error)
        begin(s);
}

static void begin(struct state *s)
{
    if (!s->path || s->writing)
        return;
    take_copy(s);
    s->writing = uv_queue_work(s->loop, &s->work, do_write, on_written) == 0;
}

static void end(struct state *s)
{
    if (s->changed && s->path) {
        take_copy(s);
        do_write(&s->work);
        end_writing(s, s->written);
    }
    if (s->lock >= 0)
        close(s->lock);
    json_decref(s->sections);
    free(s->path);
    free(s);
}

/* --- the interface ------------------------------------------------------------------------------
 */

int state_open(struct state **out, uv_loop_t *loop, const char *dir, struct error *err)
{
    struct state *s = mem_zalloc(sizeof *s);
    *s = (struct state){.loop = loop, .sections = json_object(), .lock = -1};
    s->work.data = s;
    int rc = dir ? open_folder(s, dir, err) : 0;
    if (rc)
        state_close(s);
    else
        *out = s;
    return rc;
}

json_t *state_get(const struct state *s, const char *section, const char *key)
{
    return json_object_get(json_object_get(s->sections, section), key);
}

const json_t *state_section(const struct state *s, const char *section)
{
    return json_object_get(s->sections, section);
}

/* jansson keeps the order in which keys were set, also in the file. */
static void keep_most(json_t *section, size_t most)
{
    while (json_object_size(section) > most)
        json_object_del(section, json_object_iter_key(json_object_iter(section)));
}

void state_set(struct state *s, const char *section, const char *key, json_t *value, size_t most)
{
    json_t *object = json_object_get(s->sections, section);
    if (!object) {
        object = json_object();
        json_object_set_new(s->sections, section, object);
    }
    json_t *before = json_object_get(object, key);
    if (before == value || json_equal(before, value)) {
        json_decref(value);
        return;
    }
    json_object_del(object, key); /* so that it becomes the newest */
    if (value)
        json_object_set_new(object, key, value);
    keep_most(object, most);
    s->changed = true;
    begin(s);
}

struct state_writes state_writes(const struct state *s)
{
    return (struct state_writes){.path = s->path, .failed = s->n_failed, .error = s->error};
}

void state_close(struct state *s)
{
    s->closing = true;
    if (!s->writing)
        end(s);
}
