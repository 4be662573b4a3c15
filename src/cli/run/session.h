/* SPDX-License-Identifier: MIT */
/* A conversation of `hostler run`: its messages, the images of the next one, and sending it. */
#ifndef HOSTLER_CLI_RUN_SESSION_H
#define HOSTLER_CLI_RUN_SESSION_H

#include "base/strv.h"
#include "cli/run/answer.h"
#include "cli/run/parameters.h"

enum run_vision { RUN_VISION_UNKNOWN, RUN_VISION_NO, RUN_VISION_YES };

struct run_session {
    const struct cli *cli;
    struct router router;
    char *model;
    enum run_vision vision; /* whether `model` takes images, as far as that was asked for */
    struct run_parameters parameters;
    json_t *messages;  /* without the system prompt */
    json_t *images;    /* parts of the next message */
    struct strv shown; /* their names */
    struct run_answer answer;
};

/* run_session_close() in any case. */
int run_session_open(struct run_session *s, const struct cli *cli, const char *model);
void run_session_close(struct run_session *s);

void run_session_set_model(struct run_session *s, const char *model);
/* Puts an image beside the next message. What is wrong is told. */
int run_session_attach(struct run_session *s, const char *path);
/* Those whose names are words of `text`. */
int run_session_attach_named(struct run_session *s, const char *text);
/* Drops the images of the next message. */
void run_session_clear_images(struct run_session *s);
/* Sends the conversation with a message more, which takes the images along. What got no answer is
 * not part of it afterwards. */
int run_session_ask(struct run_session *s, const char *text, size_t len);
/* Removes all messages. */
void run_session_clear(struct run_session *s);
/* All messages as they are sent, owned. */
json_t *run_session_messages(const struct run_session *s);

#endif
