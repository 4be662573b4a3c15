/* SPDX-License-Identifier: MIT */
/*
 * The server that a command talks to: hostler, a router of another kind (peer.h), or no router at all. Functions that
 * return an exit status other than CLI_OK have printed the error.
 *
 * Servers differ in their lists: the id of an entry is in `id`, `model` or `name`, its status is a string or an object
 * with `value`.
 */
#ifndef HOSTLER_CLI_PEER_ROUTER_H
#define HOSTLER_CLI_PEER_ROUTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/peer/client.h"

enum router_kind {
    ROUTER_UNKNOWN, /* not asked yet */
    ROUTER_HOSTLER,
    ROUTER_STOCK, /* llama.cpp's own, or one that lists models as it does */
    ROUTER_LLAMA_SWAP,
    ROUTER_OLLAMA,
};

struct peer;

/* A model as the server lists it. Everything is borrowed from the list. */
struct router_model {
    const char *id;
    const char *state; /* `unloaded`, `loading`, `loaded`, `sleeping`, … */
    json_t *entry;     /* the whole entry */
    json_t *status;    /* its status; a string in some servers */
    bool failed;       /* the last load failed, and no other was tried since */
    bool draining;     /* it is unloaded once its requests have finished */
    bool saving;       /* it is unloaded once its prompts are saved: then it is `draining`, too */
};

struct router_models {
    json_t *list; /* owned */
    struct router_model *v;
    size_t n;
};

struct router {
    const struct cli *cli;
    struct url url;
    struct client *client;
    enum router_kind kind;
    const struct peer *peer; /* its kind; for hostler llama.cpp's, whose API it speaks */
    bool single_model;       /* router_list() saw that it is a llama-server with one model */
    unsigned timeout_ms;     /* of requests that change nothing */
    json_t *status; /* hostler's GET /hostler/v1/status, since router_detect(); NULL else */
};

/* Reads the address and loads the HTTP library; nothing is sent. router_close() in any case. */
int router_open(struct router *r, const struct cli *cli);
void router_close(struct router *r);

/* Opens and detects: what most commands begin with. router_close() in any case. */
int router_connect(struct router *r, const struct cli *cli);
/* The same, and fails where the server is no router of any kind. */
int router_connect_router(struct router *r, const struct cli *cli);
/* The same, and fails where it does not speak llama.cpp's API. Lists the models, which
 * router_models_finish() releases in any case. */
int router_connect_llama_cpp(struct router *r, const struct cli *cli, struct router_models *m);
/* The same, and fails where it is not hostler. `what` completes the error: it is another router, which
 * `keeps no list of requests`. */
int router_connect_hostler(struct router *r, const struct cli *cli, const char *what);

/* Detects the kind and reads hostler's status; a second call reads it again. That a server is no router at all only
 * router_list() detects. */
int router_detect(struct router *r);
/* For commands that need llama.cpp's API. CLI_NO_SERVER after printing that the server has another one. */
int router_require_llama_cpp(const struct router *r);

/* The models; of a hostler in classic mode, whose GET /models is the engine's, what its status
 * lists, if router_detect() came before. router_models_finish() in any case. */
int router_list(struct router *r, struct router_models *m, bool reload);
void router_models_finish(struct router_models *m);
/* router_list() without printing errors. */
int router_list_quietly(struct router *r, struct router_models *m);
/* The same from an answer's body; false when there is no list in it. Releases nothing. */
bool router_models_read(struct router_models *m, json_t *body);
/* Whether hostler's `status` says that it serves one model. */
bool router_is_classic(json_t *status);
/* Prints, as the last line on stderr, the `problem` of the status that router_detect() read: why the server could not
 * reload its models or presets. Nothing without one. */
void router_report_problem(const struct router *r);
/* By id or alias, else by the normal form of a name (base/model_name.h); NULL when there is none. */
const struct router_model *router_find(const struct router_models *m, const char *name);
/* The id or alias most like `name`: but for case, the only one that begins with or holds it, else
 * by fewest edits. NULL when none is near. Borrowed. */
const char *router_nearest(const struct router_models *m, const char *name);
/* `there is no model 'x'`, and below it which one is near. */
void router_report_unknown(const struct router *r, const struct router_models *m, const char *name);
/* For a request about `name` that was refused: lists the models and, where `name` is none of them, prints that and returns
 * true. */
bool router_report_if_unknown(struct router *r, const char *name);

/* --- one model ----------------------------------------------------------------------------------
 */

/* Whether it has, or is about to have, a process. */
bool router_is_active(const struct router_model *m);
/* Ready for requests, or asleep and woken by one. */
bool router_is_ready(const struct router_model *m);
/* Its context in tokens, as the engine has it, else as its file says; 0 unknown. */
json_int_t router_context(const struct router_model *m);
/* Bytes of its file (or of its tensors, where only that is told); 0 unknown. */
json_int_t router_size(const struct router_model *m);
/* A member of the status object; NULL where the status is a string or lacks it. */
json_t *router_status_get(const struct router_model *m, const char *key);

/* --- talking ------------------------------------------------------------------------------------
 */

struct router_answer {
    int status;     /* HTTP's */
    json_t *body;   /* owned; NULL when it is no JSON */
    char *text;     /* owned; the error's message, or a piece of what came instead; NULL */
    bool page;      /* it is a web page */
    char *redirect; /* owned; where a 3xx leads; NULL */
};

/*
 * One request. CLI_OK means that an HTTP answer came that is not about the key. `body` is released;
 * NULL for none. router_answer_finish() in any case.
 */
int router_ask(struct router *r, const char *method, const char *path, json_t *body,
               unsigned timeout_ms, struct router_answer *a);
/* The same with a callback (client_request.tick). When that ends it: CLI_SOME_FAILED, and nothing is printed. */
int router_ask_with_tick(struct router *r, const char *method, const char *path, json_t *body,
                         unsigned timeout_ms, int (*tick)(void *ctx), void *ctx,
                         struct router_answer *a);
/* GET `path`, which is about `model` (NULL: about none): the JSON object of a 200 in *answer, owned. Other
 * answers are errors and printed: a 404 of an unknown model with the nearest name. */
int router_get(struct router *r, const char *path, const char *model, json_t **answer);
/* The same as a stream: passes the bytes of a 200 to `data` (client.h) until the stream ends or `data` ends
 * it. `endless`: only the server's shutdown ends it, so that its end is an error. */
int router_stream(struct router *r, const char *path, const char *model,
                  int (*data)(const char *data, size_t len, void *ctx), void *ctx, bool endless);
void router_answer_finish(struct router_answer *a);
/* The error message of the answer, in whatever shape the server has it. Never NULL. */
const char *router_message(const struct router_answer *a);
/* The server refused a request about `model` (NULL: about none or all): prints why. CLI_SOME_FAILED. */
int router_report_refusal(struct router *r, const struct router_answer *a, const char *model);

/*
 * Prints the error for an answer to `what` (`GET /models`) that is not a router's: a web page, a proxy's error, a redirect
 * to a login. Returns CLI_NO_SERVER; CLI_SOME_FAILED where it is a router's error after all.
 */
int router_report_foreign(const struct router *r, const struct router_answer *a, const char *what);
/* Prints that the server is no router, because of `why`. `hint` NULL: how to name another. Returns CLI_NO_SERVER. */
int router_report_no_router(const struct router *r, const char *why, const char *hint);
/* Prints why a transfer failed, from client_do(). Returns CLI_NO_SERVER. */
int router_report_unreachable(const struct router *r, int code, const struct error *err);
/* Prints that the key is missing or wrong (401, 403). Returns CLI_REFUSED. */
int router_report_refused(const struct router *r);
/* The message of an error's body: {"error":{"message"}}, {"error":"…"}, {"detail"}; else the title
 * of a web page or the text, cut. The caller frees it; NULL when there is none. */
char *router_error_text(const char *body, size_t len);

#endif
