/* SPDX-License-Identifier: MIT */
/* A server and a client with the relay between them: the test plays both ends. */
#include "server_test.h"

#include "http/relay.h"
#include "../message/transforms_test.h"
#include "origin_test.h"

static struct http_client *client;
static struct relay relay;
static int origin;
static char origin_path[80];
static unsigned dones;
static enum relay_result result;
static bool starts_at_body_end;                   /* else at the head */
static const struct message_transform *transform; /* of the answer; NULL: none */
static struct pipeline pipeline;
static const struct message_transform *request_transform; /* NULL: none */
static struct pipeline request_pipeline;
static struct body_budget budget;
static struct buf sent;  /* what send_noise() sent */
static size_t starts_at; /* bytes of the body; 0: as `starts_at_body_end` says */

static void relay_done(struct relay *r, enum relay_result how)
{
    assert_ptr_equal(r, &relay);
    dones++;
    result = how;
    if (how == RELAY_BODY_LOST)
        http_exchange_reply(r->x, 503, NULL, "", 0, NULL);
    else if (how == RELAY_BAD_REQUEST)
        http_exchange_reply(r->x, 400, NULL, "", 0, NULL);
    else if (how == RELAY_ABSENT || how == RELAY_NOT_SENT || how == RELAY_NO_ANSWER)
        http_exchange_reply(r->x, 502, NULL, "", 0, NULL);
    else if (how == RELAY_BROKEN || how == RELAY_UNTRANSLATABLE)
        http_exchange_abort(r->x);
    relay_finish(r);
}

static void on_body(struct http_exchange *x, const char *data, size_t len, void *ctx)
{
    (void)x;
    (void)ctx;
    if (!starts_at_body_end || relay.client)
        assert_int_equal(relay_body(&relay, data, len), 0);
    else
        assert_int_equal(relay_hold(&relay, data, len), 0);
    if (starts_at && !relay.client && relay.body.len >= starts_at)
        assert_int_equal(relay_start(&relay, client), 0);
}

static void on_body_end(struct http_exchange *x, void *ctx)
{
    (void)x;
    (void)ctx;
    if (starts_at_body_end && !relay.client) {
        relay.body_complete = true;
        if (relay_start(&relay, client))
            relay_done(&relay, RELAY_BAD_REQUEST);
    } else {
        relay_body_end(&relay);
    }
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    (void)x;
    (void)ctx;
    relay_drain(&relay);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    (void)x;
    (void)ctx;
    f.gones++;
    relay_finish(&relay);
}

static const struct http_exchange_events relay_events = {
    .body = on_body, .body_end = on_body_end, .drain = on_drain, .gone = on_gone};

static const size_t request_max = 100; /* bytes that `hold` holds back */

static void pass_on(struct http_exchange *x)
{
    http_exchange_take(x, &relay_events, NULL);
    relay_init(&relay, x);
    relay.fields = "X-Ours: 1\r\n";
    relay.done = relay_done;
    if (transform) {
        pipeline_init(&pipeline, relay_sink, &relay);
        assert_int_equal(pipeline_add(&pipeline, transform, &(size_t){100}), 0);
        relay.answer = &pipeline;
    }
    if (request_transform) {
        pipeline_init(&request_pipeline, relay_request_sink, &relay);
        assert_int_equal(pipeline_add(&request_pipeline, request_transform, &request_max), 0);
        relay.request = &request_pipeline;
        relay.target = "/other";
    }
    relay.body.share.budget = &budget;
    if (!starts_at_body_end)
        assert_int_equal(relay_start(&relay, client), 0);
}

static int relay_set_up(void **state)
{
    set_up(state);
    snprintf(origin_path, sizeof origin_path, "%s/origin.sock", f.t.folder);
    origin = listen_at(origin_path, 16);
    client = client_at(&f.t.loop, origin_path, 0);
    f.on_request = pass_on;
    starts_at_body_end = true;
    transform = NULL;
    request_transform = NULL;
    pipeline = request_pipeline = (struct pipeline){0};
    budget = (struct body_budget){.max = 1 << 30, .folder = f.t.folder, .loop = &f.t.loop};
    buf_init(&sent, BUF_UNBOUNDED);
    starts_at = 0;
    dones = 0;
    return 0;
}

static int relay_tear_down(void **state)
{
    pipeline_finish(&pipeline);
    pipeline_finish(&request_pipeline);
    buf_finish(&sent);
    close_server();
    assert_int_equal(budget.held, 0);
    assert_int_equal(budget.files, 0);
    http_client_close(client);
    origin_close(&origin);
    unlink(origin_path);
    return tear_down(state);
}

/* --- the request ------------------------------------------------------------------------- */

static void the_request_keeps_its_length(void **state)
{
    (void)state;
    ask("POST /v1/x?y=%20z HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nA: b\r\n\r\nabc");
    assert_text(origin_accept(&f.t, origin), "POST /v1/x?y=%20z HTTP/1.1\r\nHost: h\r\nA: b\r\n"
                                             "Content-Length: 3\r\n\r\nabc");
}

static void the_request_keeps_its_chunks(void **state)
{
    (void)state;
    starts_at_body_end = false;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct peer *o = origin_accept(&f.t, origin);
    peer_send(p, "3\r\nabc\r\n");
    loop_settle(&f.t);
    peer_send(p, "0\r\n\r\n");
    loop_settle(&f.t);
    assert_text(o, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n0\r\n\r\n");
}

static void no_body_stays_no_body(void **state)
{
    (void)state;
    ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_text(origin_accept(&f.t, origin), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void an_announced_empty_body(void **state)
{
    (void)state;
    ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_text(origin_accept(&f.t, origin),
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
}

static void what_concerns_us_is_dropped(void **state)
{
    (void)state;
    ask("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer key\r\nX-Api-Key: key\r\n"
        "Connection: keep-alive, X-Named\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Named: 1\r\n"
        "Upgrade: h2c\r\nExpect: 100-continue\r\nCookie: c\r\nContent-Length: 1\r\n\r\na");
    assert_text(origin_accept(&f.t, origin),
                "POST / HTTP/1.1\r\nHost: h\r\nCookie: c\r\nContent-Length: 1\r\n\r\na");
}

/* The engine would refuse the whole request for them. */
static void what_is_too_long_for_an_engine_is_dropped(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nCookie: ");
    peer_send_fill(p, 9000);
    peer_send(p, "\r\nB: 2\r\nX-Token: ");
    peer_send_fill(p, 8190);
    peer_send(p, "\r\n\r\n");
    loop_settle(&f.t);
    assert_text(origin_accept(&f.t, origin), "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n");
}

static void where_no_limit_is_known_all_fields_are_passed_on(void **state)
{
    struct http_origin address;
    struct http_origin_traits traits = {.keep_ms = 3000};
    (void)state;
    http_client_close(client);
    assert_int_equal(http_origin_unix(&address, origin_path), 0);
    client = http_client_create(&f.t.loop, &address, &traits, 0);
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: h\r\nCookie: ");
    peer_send_fill(p, 9000);
    peer_send(p, "\r\n\r\n");
    loop_settle(&f.t);
    assert_true(strlen(peer_text(origin_accept(&f.t, origin))) > 9000);
}

static void many_fields_of_a_usual_length_are_passed_on(void **state)
{
    (void)state;
    struct peer *p = peer_connect(&f.t);
    peer_send(p, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 4; i++) {
        peer_send(p, "Cookie: ");
        peer_send_fill(p, 4000);
        peer_send(p, "\r\n");
    }
    peer_send(p, "\r\n");
    loop_settle(&f.t);
    struct peer *o = origin_accept(&f.t, origin);
    assert_true(strlen(peer_text(o)) > 16000);
}

static void http_1_0_becomes_1_1(void **state)
{
    (void)state;
    ask("GET / HTTP/1.0\r\n\r\n");
    assert_text(origin_accept(&f.t, origin), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* --- the answer -------------------------------------------------------------------------- */

static struct peer *relayed(const char *request, const char *answer)
{
    struct peer *p = ask(request);
    struct peer *o = origin_accept(&f.t, origin);
    peer_send(o, answer);
    loop_settle(&f.t);
    return p;
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

static void the_answer_keeps_its_length(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\n"
                                  "Content-Length: 2\r\nX: y\r\n\r\nno");
    assert_text(p, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nContent-Type: a/b\r\nX: y\r\n"
                   "X-Ours: 1\r\n\r\nno");
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_DONE);
}

static void the_answer_keeps_its_chunks(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                  "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n"
                                  "3\r\nabc\r\n0\r\n\r\n");
    assert_text(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Ours: 1\r\n\r\n"
                   "3\r\nabc\r\n0\r\n\r\n");
}

static void each_piece_is_passed_on_at_once(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n5\r\none\n\n\r\n");
    assert_true(relay.is_event_stream);
    assert_true(peer_has(p, "one\n\n"));
    assert_int_equal(dones, 0);
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct peer *p = relayed("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Ours: 1\r\n\r\n");
    assert_int_equal(result, RELAY_DONE);
}

static void connections_of_both_sides_are_kept(void **state)
{
    (void)state;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    for (int i = 1; i <= 3; i++) {
        peer_send(o, "HTTP/1.1 204 No Content\r\n\r\n");
        loop_settle(&f.t);
        assert_int_equal(dones, i);
        peer_send(p, GET);
        loop_settle(&f.t);
    }
    assert_text(o, GET GET GET GET);
    assert_false(origin_is_called(origin));
}

/* --- failures ---------------------------------------------------------------------------- */

#define POST_ABC "POST /again HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"

static void a_stale_connection_is_not_noticed(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 204 No Content\r\n\r\n");
    buf_clear(&p->in);
    /* In this order, so that the loop sees the request first, and takes the kept connection. */
    peer_send(p, POST_ABC);
    peer_close(&f.t.peer[1]);
    loop_settle(&f.t);
    assert_true(relay.fresh);
    struct peer *o = origin_accept(&f.t, origin);
    assert_text(o, POST_ABC);
    peer_send(o, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    loop_settle(&f.t);
    assert_text(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Ours: 1\r\n\r\n");
    assert_int_equal(result, RELAY_DONE);
}

static void a_request_that_was_read_is_not_made_again(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 204 No Content\r\n\r\n");
    peer_send(p, POST_ABC);
    loop_settle(&f.t);
    assert_text(&f.t.peer[1], GET POST_ABC);
    peer_close(&f.t.peer[1]);
    loop_settle(&f.t);
    assert_false(origin_is_called(origin));
    assert_int_equal(result, RELAY_NO_ANSWER);
}

static void an_origin_that_ends_without_an_answer(void **state)
{
    (void)state;
    struct peer *p = ask(GET);
    peer_close(origin_accept(&f.t, origin));
    loop_settle(&f.t);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_NO_ANSWER);
    assert_true(peer_has(p, "HTTP/1.1 502 "));
}

static void an_origin_that_is_not_there(void **state)
{
    (void)state;
    origin_close(&origin);
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_ABSENT);
    assert_true(peer_has(p, "HTTP/1.1 502 "));
}

static void an_answer_that_breaks(void **state)
{
    (void)state;
    struct peer *p = relayed(GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nabc\r\n");
    peer_close(&f.t.peer[1]);
    loop_settle(&f.t);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_BROKEN);
    assert_true(p->ended);
    assert_false(peer_has(p, "\r\n0\r\n\r\n"));
}

static void a_client_that_leaves_ends_the_call(void **state)
{
    (void)state;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    peer_close(p);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 1);
    assert_int_equal(dones, 0);
    assert_true(o->ended);
}

/* --- back-pressure ----------------------------------------------------------------------- */

#define LARGE 8000000

static void a_slow_origin_slows_the_client(void **state)
{
    (void)state;
    starts_at_body_end = false;
    struct peer *p = ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
    struct peer *o = origin_accept(&f.t, origin);
    o->deaf = true;
    peer_send_fill(p, LARGE);
    loop_settle(&f.t);
    assert_true(p->out.len > LARGE / 2);
    assert_in_range(http_call_pending(relay.call), HTTP_HIGH_WATER, HTTP_HIGH_WATER + 70000);
    o->deaf = false;
    UNTIL(&f.t, o->in.len > LARGE);
    assert_int_equal(p->out.len, 0);
}

static void a_slow_client_slows_the_origin(void **state)
{
    (void)state;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    p->deaf = true;
    peer_send(o, "HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
    peer_send_fill(o, LARGE);
    loop_settle(&f.t);
    assert_true(o->out.len > LARGE / 2);
    assert_in_range(http_exchange_pending(relay.x), 1, STREAM_READ_SIZE);
    p->deaf = false;
    UNTIL(&f.t, p->in.len > LARGE);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_DONE);
}

/* There may be thousands of these, and what does not go on to the client waits here. */
static void little_of_a_stream_waits_for_a_slow_client(void **state)
{
    (void)state;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    p->deaf = true;
    peer_send(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7A1200\r\n");
    peer_send_fill(o, LARGE);
    loop_settle(&f.t);
    assert_true(o->out.len > LARGE / 2);
    assert_in_range(http_exchange_pending(relay.x), 1, STREAM_READ_LITTLE + 64);
    peer_send(o, "\r\n0\r\n\r\n");
    p->deaf = false;
    UNTIL(&f.t, dones == 1);
    assert_int_equal(result, RELAY_DONE);
    UNTIL(&f.t, p->in.len > LARGE);
}

/* --- bodies in files --------------------------------------------------------------------- */

#define POST_LARGE "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n"
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void assert_sent_is_at(struct peer *o)
{
    const char *end = strstr(peer_text(o), "\r\n\r\n");
    assert_non_null(end);
    size_t head = (size_t)(end + 4 - o->in.data);
    assert_int_equal(o->in.len - head, sent.len);
    assert_memory_equal(o->in.data + head, sent.data, sent.len);
}

static void send_noise(struct peer *p, size_t len)
{
    unsigned x = 1;
    assert_int_equal(buf_reserve(&sent, len), 0);
    for (; sent.len < len; sent.len++) {
        x = x * 1664525u + 1013904223u;
        sent.data[sent.len] = (char)('a' + (x >> 24) % 26);
    }
    peer_send_bytes(p, sent.data, len);
}

/* The first `len` bytes of its body are on their way. */
static struct peer *send_large(size_t len)
{
    struct peer *p = ask(POST_LARGE);
    send_noise(p, len);
    return p;
}

/* The same, and the relay has begun. */
static void relay_large(size_t len)
{
    send_large(len);
    UNTIL(&f.t, relay.client);
}

static void receive_large(struct peer *o)
{
    UNTIL(&f.t, o->in.len > LARGE);
    assert_sent_is_at(o);
}

static void answer_large(struct peer *o)
{
    peer_send(o, OK_EMPTY);
    loop_settle(&f.t);
    assert_int_equal(result, RELAY_DONE);
}

static void a_large_body_waits_in_a_file(void **state)
{
    (void)state;
    relay_large(LARGE);
    assert_int_equal(relay.body.memory.len, HELD_IN_MEMORY);
    assert_int_equal(relay.body.in_file, LARGE - HELD_IN_MEMORY);
    struct peer *o = origin_accept_deaf(&f.t, origin);
    UNTIL(&f.t, http_call_pending(relay.call) >= HTTP_HIGH_WATER);
    loop_settle(&f.t);
    assert_true(http_call_pending(relay.call) <= HTTP_HIGH_WATER + HELD_IN_MEMORY);
    o->deaf = false;
    receive_large(o);
    answer_large(o);
}

static void a_body_in_a_file_is_sent_again(void **state)
{
    (void)state;
    relay_large(LARGE);
    origin_accept_deaf(&f.t, origin);
    UNTIL(&f.t, http_call_pending(relay.call) >= HTTP_HIGH_WATER);
    http_call_cancel(relay.call);
    relay.call = NULL;
    assert_int_equal(relay_start(&relay, client), 0);
    struct peer *o = origin_accept(&f.t, origin);
    receive_large(o);
    answer_large(o);
}

static void a_body_goes_on_behind_its_file(void **state)
{
    (void)state;
    starts_at = 3000000;
    relay_large(LARGE);
    struct peer *o = origin_accept(&f.t, origin);
    receive_large(o);
    assert_null(relay.body.spool);
    answer_large(o);
}

static void a_client_that_leaves_while_its_body_is_written(void **state)
{
    (void)state;
    struct peer *p = send_large(LARGE / 2);
    UNTIL(&f.t, relay.body.spool);
    peer_close(p);
    UNTIL(&f.t, f.gones);
}

static void a_disk_that_fails(void **state)
{
    (void)state;
    budget.folder = "/nonexistent";
    starts_at = HELD_IN_MEMORY + 1;
    relay_large(HELD_IN_MEMORY + 1000);
    origin_accept(&f.t, origin);
    UNTIL(&f.t, dones);
    assert_int_equal(result, RELAY_BODY_LOST);
}

/* Its beginning is not here any more, whatever the origin has read of it. */
static void a_body_that_was_begun_is_not_sent_again(void **state)
{
    (void)state;
    starts_at = 3000000;
    relay_large(LARGE / 2);
    struct peer *o = origin_accept_deaf(&f.t, origin);
    UNTIL(&f.t, relay.body_given_away && http_call_pending(relay.call));
    peer_close(o);
    UNTIL(&f.t, dones);
    assert_int_equal(result, RELAY_NO_ANSWER);
}

/* Its answer may be long in coming, and others want the room. */
static void a_body_in_a_file_is_given_up_when_the_origin_has_it(void **state)
{
    (void)state;
    relay_large(LARGE);
    struct peer *o = origin_accept(&f.t, origin);
    receive_large(o);
    UNTIL(&f.t, !budget.held && !budget.files);
    answer_large(o);
}

/* --- transforms -------------------------------------------------------------------------- */

static void a_request_is_rewritten(void **state)
{
    (void)state;
    request_transform = &twice;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    struct peer *o = origin_accept(&f.t, origin);
    assert_text(o, "POST /other HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\naa\r\n2\r\nbb\r\n2\r\ncc\r\n0\r\n\r\n");
    peer_send(o, OK_EMPTY);
    loop_settle(&f.t);
    assert_true(peer_has(p, "HTTP/1.1 200 "));
}

static void a_rewritten_request_is_made_again(void **state)
{
    (void)state;
    request_transform = &hold;
    struct peer *p = relayed(POST_ABC, "HTTP/1.1 204 No Content\r\n\r\n");
    buf_clear(&p->in);
    pipeline_finish(&request_pipeline);
    peer_send(p, POST_ABC);
    peer_close(&f.t.peer[1]);
    loop_settle(&f.t);
    assert_true(relay.fresh);
    assert_true(peer_has(origin_accept(&f.t, origin), "\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
}

static void a_request_without_a_body_is_not_rewritten(void **state)
{
    (void)state;
    request_transform = &twice;
    ask(GET);
    assert_text(origin_accept(&f.t, origin), "GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
}

static void a_request_that_its_transform_refuses(void **state)
{
    (void)state;
    request_transform = &strict;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na!c");
    loop_settle(&f.t);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_BAD_REQUEST);
    assert_true(peer_has(p, "HTTP/1.1 400 "));
}

static void a_request_that_is_too_large_for_its_transform(void **state)
{
    (void)state;
    request_transform = &hold;
    struct peer *p = ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n");
    send_noise(p, 101);
    loop_settle(&f.t);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_BAD_REQUEST);
    assert_true(peer_has(p, "HTTP/1.1 400 "));
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

static void a_transform_changes_the_length(void **state)
{
    (void)state;
    transform = &half;
    struct peer *p = relayed("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    assert_text(&f.t.peer[1], GET);
    assert_true(peer_has(p, CHUNKED));
    assert_true(peer_has(p, "\r\n\r\n1\r\na\r\n1\r\nc\r\n0\r\n\r\n"));
    assert_int_equal(result, RELAY_DONE);
}

static void what_a_transform_held_back_comes_at_the_end(void **state)
{
    (void)state;
    transform = &hold;
    struct peer *p = relayed(GET, CHUNKED "\r\n3\r\nabc\r\n");
    assert_false(peer_has(p, "abc"));
    peer_send(&f.t.peer[1], "2\r\nde\r\n0\r\n\r\n");
    loop_settle(&f.t);
    assert_true(peer_has(p, "5\r\nabcde\r\n0\r\n\r\n"));
    assert_int_equal(result, RELAY_DONE);
}

static void a_transform_that_fails_ends_both_sides(void **state)
{
    (void)state;
    transform = &strict;
    struct peer *p = relayed(GET, CHUNKED "\r\n3\r\nabc\r\n");
    peer_send(&f.t.peer[1], "1\r\n!\r\n1\r\nz\r\n");
    loop_settle(&f.t);
    assert_int_equal(dones, 1);
    assert_int_equal(result, RELAY_UNTRANSLATABLE);
    assert_true(p->ended || p->reset);
    assert_false(peer_has(p, "\r\n0\r\n\r\n"));
    assert_true(f.t.peer[1].ended || f.t.peer[1].reset);
}

static void a_transform_that_holds_back_too_much(void **state)
{
    (void)state;
    transform = &hold;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    peer_send(o, "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n");
    peer_send_fill(o, 101);
    loop_settle(&f.t);
    assert_int_equal(result, RELAY_UNTRANSLATABLE);
    assert_true(p->ended || p->reset);
}

/* The client that does not read stops the origin, as without a transform. */
static void a_growing_answer_is_held_back_too(void **state)
{
    (void)state;
    transform = &twice;
    struct peer *p = ask(GET), *o = origin_accept(&f.t, origin);
    p->deaf = true;
    peer_send(o, "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
    peer_send_fill(o, 2000000);
    loop_settle(&f.t);
    assert_true(o->out.len > 1000000);
    assert_in_range(http_exchange_pending(relay.x), 1, 8 * 2 * STREAM_READ_SIZE);
    p->deaf = false;
    UNTIL(&f.t, dones == 1);
    assert_int_equal(result, RELAY_DONE);
}

int main(void)
{
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, relay_set_up, relay_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_request_keeps_its_length),
        TEST(the_request_keeps_its_chunks),
        TEST(no_body_stays_no_body),
        TEST(an_announced_empty_body),
        TEST(what_concerns_us_is_dropped),
        TEST(what_is_too_long_for_an_engine_is_dropped),
        TEST(where_no_limit_is_known_all_fields_are_passed_on),
        TEST(many_fields_of_a_usual_length_are_passed_on),
        TEST(http_1_0_becomes_1_1),
        TEST(the_answer_keeps_its_length),
        TEST(the_answer_keeps_its_chunks),
        TEST(each_piece_is_passed_on_at_once),
        TEST(head_has_no_body),
        TEST(connections_of_both_sides_are_kept),
        TEST(a_stale_connection_is_not_noticed),
        TEST(a_request_that_was_read_is_not_made_again),
        TEST(an_origin_that_ends_without_an_answer),
        TEST(an_origin_that_is_not_there),
        TEST(an_answer_that_breaks),
        TEST(a_client_that_leaves_ends_the_call),
        TEST(a_slow_origin_slows_the_client),
        TEST(a_slow_client_slows_the_origin),
        TEST(little_of_a_stream_waits_for_a_slow_client),
        TEST(a_large_body_waits_in_a_file),
        TEST(a_body_in_a_file_is_sent_again),
        TEST(a_body_goes_on_behind_its_file),
        TEST(a_body_that_was_begun_is_not_sent_again),
        TEST(a_body_in_a_file_is_given_up_when_the_origin_has_it),
        TEST(a_client_that_leaves_while_its_body_is_written),
        TEST(a_disk_that_fails),
        TEST(a_request_is_rewritten),
        TEST(a_rewritten_request_is_made_again),
        TEST(a_request_without_a_body_is_not_rewritten),
        TEST(a_request_that_its_transform_refuses),
        TEST(a_request_that_is_too_large_for_its_transform),
        TEST(a_transform_changes_the_length),
        TEST(what_a_transform_held_back_comes_at_the_end),
        TEST(a_transform_that_fails_ends_both_sides),
        TEST(a_transform_that_holds_back_too_much),
        TEST(a_growing_answer_is_held_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
