/* SPDX-License-Identifier: MIT */
/*
 * Work on many models, a slice a turn of the loop, so that others are answered in between: 10,000
 * models at once take up to a second (docs/performance.md). Models that come or go meanwhile
 * are met or missed; the others are met once, in the order of their ids.
 */
#ifndef HOSTLER_API_SLICES_H
#define HOSTLER_API_SLICES_H

#include <jansson.h>

#include "api/api.h"
#include "base/buf.h"

/* --- an answer that is a list -------------------------------------------------------------------- */

/* What is listed. */
struct slices_list {
    int status;
    const char *head; /* JSON up to and with the list's `[`; copied; NULL: nothing */
    /* The next element, which the caller releases; `*element` NULL leaves one out. False: there is none. */
    bool (*next)(void *ctx, json_t **element);
    void (*pause)(void *ctx); /* the slice is over, the next one is for another turn; NULL */
    /* Appends what follows the elements, the end of the answer included. 0, or a negative errno. */
    int (*tail)(void *ctx, struct buf *out, bool first);
    void (*finish)(void *ctx); /* frees `ctx` */
    void *ctx;
    /* For text that is not JSON, in place of `next` and `tail`: appends some of it; `*more` is set, and cleared at the end.
     * 0, or a negative errno. `type`: its Content-Type. */
    int (*append)(void *ctx, struct buf *out, bool *more);
    const char *type;
};

/* What takes one slice is answered at once with its length, a longer answer as a stream, as fast as the
 * client reads. O(elements). */
void slices_reply_list(struct api *api, struct http_exchange *x, const struct slices_list *list);

/* One element, which the caller releases; NULL leaves the model out. */
typedef json_t *slices_element(struct api *api, struct model *m);
/* As in struct slices_list. */
typedef int slices_tail(struct api *api, struct buf *out, bool first);

/* The same of models: answers 200 with `head`, an element for each model, and what `tail` appends. */
void slices_reply(struct api *api, struct http_exchange *x, const char *head,
                  slices_element *element, slices_tail *tail);
/* `]}`: a tail. */
int slices_close(struct api *api, struct buf *out, bool first);

/* --- a change of many models -------------------------------------------------------------------- */

/*
 * Calls `action` for each model, then once `done`; `x` is NULL there when its client is gone: the work goes on
 * to its end all the same. `done` frees `ctx`. `at_once`, unless NULL, is called before for each of the models, in
 * one turn, so it must be quick (0.1 µs), and after it once `perform`.
 */
struct slices_work {
    void (*at_once)(struct model *m, void *ctx);
    void (*perform)(struct host *host);
    void (*action)(struct model *m, void *ctx);
    void (*done)(struct api *api, struct http_exchange *x, void *ctx);
    void *ctx;
};

/* For the models in `names`, a list of names of which unknown ones are skipped, or NULL: for all. */
void slices_for_each(struct api *api, struct http_exchange *x, json_t *names,
                     const struct slices_work *work);

#endif
