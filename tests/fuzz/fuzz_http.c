/* SPDX-License-Identifier: MIT */
/*
 * A whole server connection, on a unix socket: the input is what a client sends. Its first byte
 * says what the handler does, the second in how large pieces the rest comes. Whatever it is:
 * an exchange ends once, each answer is well-formed, and nothing is left when the client is gone.
 */
#include <errno.h>
#include <llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"

enum { REPLIES = 0, TAKES = 1, PAUSES = 2, STREAMS = 3, ABORTS = 4, BEHAVIOURS = 5 };

static uv_loop_t loop;
static struct http_server *server;
static char folder[] = "/tmp/hostler-fuzz-XXXXXX", path[64];
static unsigned behaviour;
static struct http_exchange *current; /* taken, and neither ended nor gone */
static bool any_head;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void look_at(struct http_exchange *x)
{
    const struct http_head *head = http_exchange_head(x);
    size_t len = strlen(http_exchange_target(x)) + strlen(http_exchange_method(x));
    for (unsigned i = 0; i < head->n_fields; i++) {
        len += strlen(http_field_name(head, i)) + strlen(http_field_value(head, i));
        check(!strpbrk(http_field_value(head, i), "\r\n"));
        (void)http_field_is_hop(head, i);
    }
    check(len <= HTTP_HEAD_MAX + 16);
    check(http_exchange_body_length(x) >= -1);
}

static void finish(struct http_exchange *x)
{
    current = NULL;
    if (behaviour == ABORTS) {
        http_exchange_abort(x);
    } else if (behaviour == STREAMS) {
        http_exchange_begin(x, 200, HTTP_STREAMED);
        http_exchange_head_end(x);
        http_exchange_write(x, "a", 1);
        http_exchange_flush(x);
        http_exchange_write(x, "bc", 2);
        http_exchange_end(x);
    } else {
        http_exchange_reply(x, 200, "text/plain", "hello", 5, NULL);
    }
}

static void on_body(struct http_exchange *x, const char *data, size_t len, void *ctx)
{
    (void)ctx;
    (void)data;
    check(x == current && len);
    if (behaviour == PAUSES)
        http_exchange_pause(x);
}

static void on_body_end(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    check(x == current);
    finish(x);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    check(x == current);
    current = NULL;
}

static const struct http_exchange_events events = {
    .body = on_body, .body_end = on_body_end, .gone = on_gone};

static void handle(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    check(!current);
    look_at(x);
    any_head |= http_exchange_is_head(x);
    if (behaviour == REPLIES) {
        finish(x);
        return;
    }
    current = x;
    http_exchange_take(x, &events, NULL);
}

/* --- the client -------------------------------------------------------------------------- */

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static void start(void)
{
    struct error err;
    if (server)
        return;
    check(uv_loop_init(&loop) == 0 && mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.sock", folder);
    atexit(remove_folder);
    server = http_server_create(&loop, handle, NULL);
    check(http_server_listen(server, path, 0, 0, &err) == 0);
}

/* All answers must be HTTP, or begin to be. */
static void check_answers(int fd, llhttp_t *answers)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, MSG_DONTWAIT)) > 0)
        if (!any_head) /* the parser cannot know that their answers have no body */
            check(llhttp_execute(answers, piece, (size_t)n) == HPE_OK);
}

static void turn(int fd, llhttp_t *answers)
{
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    if (current && behaviour == PAUSES)
        http_exchange_resume(current);
    check_answers(fd, answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    llhttp_settings_t settings;
    llhttp_t answers;
    if (size < 3)
        return 0;
    start();
    llhttp_settings_init(&settings);
    llhttp_init(&answers, HTTP_RESPONSE, &settings);
    behaviour = data[0] % BEHAVIOURS;
    any_head = false;
    size_t step = data[1] ? data[1] : size;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    for (size_t at = 2; at < size;) {
        size_t len = size - at < step ? size - at : step;
        ssize_t n = send(fd, data + at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break; /* it has closed */
        at += n > 0 ? (size_t)n : 0;
        turn(fd, &answers);
    }
    turn(fd, &answers);
    if (current) /* an answer before its request's end */
        finish(current);
    turn(fd, &answers);
    close(fd);
    for (int i = 0; i < 3 || (i < 100 && http_server_busy(server)); i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    check(!current && http_server_busy(server) == 0);
    return 0;
}
