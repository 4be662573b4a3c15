/* SPDX-License-Identifier: MIT */
/* Exchanges that go on without their client (http_exchange_outlive()): orphans. */
#include <fcntl.h>
#include <netinet/in.h>

#include "server_test.h"
#include "tls_test.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void take_for_good(struct http_exchange *x)
{
    take(x);
    http_exchange_outlive(x);
}

static void begin_stream(struct http_exchange *x)
{
    http_exchange_begin(x, 200, HTTP_STREAMED);
    http_exchange_head_end(x);
}

static void leave(struct peer *p)
{
    peer_close(p);
    loop_settle(&f.t);
}

/* Its handler has it without a client. */
static struct http_exchange *orphan(void)
{
    f.on_request = take_for_good;
    leave(ask(GET("/orphan")));
    assert_non_null(f.x);
    assert_int_equal(f.gones, 0);
    return f.x;
}

/* --- when the client leaves -------------------------------------------------------------------- */

static void before_the_answer(void **state)
{
    (void)state;
    struct http_exchange *x = orphan();
    assert_string_equal(http_exchange_target(x), "/orphan"); /* the request is still there */
    assert_string_equal(http_exchange_peer(x), "unix");
    reply(x);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 0);
}

static void the_answer_goes_nowhere(void **state)
{
    (void)state;
    static char piece[HTTP_HIGH_WATER];
    struct http_exchange *x = orphan();
    begin_stream(x);
    for (int i = 0; i < 10; i++) {
        http_exchange_write(x, piece, sizeof piece);
        assert_int_equal(http_exchange_pending(x), 0);
    }
    http_exchange_flush(x);
    http_exchange_pause(x);
    http_exchange_resume(x);
    loop_settle(&f.t);
    assert_int_equal(f.drains, 0); /* nothing held it up */
    http_exchange_end(x);
}

static void in_the_turn_of_its_answer(void **state)
{
    (void)state;
    f.on_request = take_for_good;
    struct peer *p = ask(GET("/a"));
    shutdown(p->fd, SHUT_RDWR);
    UNTIL(&f.t, http_server_busy(f.server) == 0); /* it closes, but is not closed yet */
    reply(f.x);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 0);
}

static struct http_exchange *held_up(struct peer **p)
{
    static char piece[HTTP_HIGH_WATER];
    f.on_request = take_for_good;
    *p = peer_connect(&f.t);
    (*p)->deaf = true;
    peer_send(*p, GET("/a"));
    UNTIL(&f.t, f.x);
    begin_stream(f.x);
    while (http_exchange_pending(f.x) < HTTP_HIGH_WATER)
        http_exchange_write(f.x, piece, sizeof piece);
    http_exchange_flush(f.x);
    loop_settle(&f.t);
    assert_int_equal(f.drains, 0);
    return f.x;
}

static void in_the_middle_of_an_answer_that_is_held_up(void **state)
{
    (void)state;
    struct peer *p;
    struct http_exchange *x = held_up(&p);
    leave(p);
    assert_int_equal(f.drains, 1); /* or the handler would wait for ever */
    assert_int_equal(f.gones, 0);
    assert_int_equal(http_exchange_pending(x), 0);
    http_exchange_write(x, "more", 4);
    http_exchange_end(x);
}

static void end_it(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    f.drains++;
    http_exchange_end(x);
}

static void a_drain_that_ends_it(void **state)
{
    (void)state;
    static const struct http_exchange_events ends = {.drain = end_it, .gone = note_gone};
    struct peer *p;
    http_exchange_take(held_up(&p), &ends, NULL);
    leave(p);
    assert_int_equal(f.drains, 1);
    assert_int_equal(f.gones, 0);
}

static void while_its_body_comes(void **state)
{
    (void)state;
    f.on_request = take_for_good;
    leave(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab"));
    assert_int_equal(f.gones, 1);
}

static void after_its_answer(void **state)
{
    (void)state;
    f.on_request = take_for_good;
    struct peer *p = ask(GET("/a"));
    reply(f.x);
    loop_settle(&f.t);
    f.on_request = take; /* the wish was the first request's alone */
    peer_send(p, GET("/b"));
    loop_settle(&f.t);
    assert_string_equal(f.targets, "/a /b ");
    leave(p);
    assert_int_equal(f.gones, 1);
}

/* --- how it ends ------------------------------------------------------------------------------- */

static void its_handler_gives_up(void **state)
{
    (void)state;
    struct http_exchange *x = orphan();
    begin_stream(x);
    http_exchange_abort(x);
    loop_settle(&f.t);
    assert_int_equal(f.gones, 0);
}

static void what_was_pipelined_behind_it_is_dropped(void **state)
{
    (void)state;
    f.on_request = take_for_good;
    leave(ask(GET("/a") GET("/b")));
    reply(f.x);
    loop_settle(&f.t);
    assert_string_equal(f.targets, "/a ");
}

static void the_server_closes(void **state)
{
    (void)state;
    orphan();
    assert_int_equal(http_server_busy(f.server), 0); /* nobody waits for what goes nowhere */
    close_server();
    assert_int_equal(f.gones, 1);
}

static void it_does_not_become_one_while_the_server_closes(void **state)
{
    (void)state;
    f.on_request = take_for_good;
    ask(GET("/a"));
    close_server();
    assert_int_equal(f.gones, 1);
}

/* --- too many ----------------------------------------------------------------------------------- */

static void take_unseen(struct http_exchange *x)
{
    static const struct http_exchange_events none = {0};
    http_exchange_take(x, &none, NULL);
    http_exchange_outlive(x);
}

static void leave_an_orphan(void)
{
    struct peer *p = ask(GET("/"));
    leave(p);
    f.targets[0] = '\0';
    buf_finish(&p->in);
    buf_finish(&p->out);
    f.t.n_peers--; /* its place is free for the next one */
}

static void no_more_than_a_bound(void **state)
{
    (void)state;
    f.on_request = take_unseen;
    for (int i = 0; i < HTTP_ORPHANS_MAX; i++)
        leave_an_orphan();
    f.on_request = take_for_good;
    leave_an_orphan();
    assert_int_equal(f.gones, 1);
}

static void an_end_makes_room(void **state)
{
    (void)state;
    struct http_exchange *x = orphan();
    f.on_request = take_unseen;
    for (int i = 1; i < HTTP_ORPHANS_MAX; i++)
        leave_an_orphan();
    http_exchange_abort(x);
    orphan();
}

/* --- HTTPS ------------------------------------------------------------------------------------- */

static SSL *tls_connect(SSL_CTX *ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_server_port(f.server)),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    UNTIL(&f.t, SSL_connect(ssl) == 1);
    return ssl;
}

static int serve_tls(void **state)
{
    static const char *const files[] = {"c.pem", "k.pem"};
    struct tls_identity *identity;
    struct error err = {0};
    set_up(state);
    tls_folder_create();
    tls_make("c.pem", "k.pem", DAY, NULL);
    assert_int_equal(tls_identity_load(&identity, tls_path("c.pem"), tls_path("k.pem"), &err), 0);
    http_server_secure(f.server, identity);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, 0, &err), 0);
    tls_folder_remove(files, 2);
    return 0;
}

static void over_tls(void **state)
{
    (void)state;
    static char piece[HTTP_HIGH_WATER];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = tls_connect(ctx);
    f.on_request = take_for_good;
    assert_true(SSL_write(ssl, GET("/a"), sizeof GET("/a") - 1) > 0);
    UNTIL(&f.t, f.x);
    begin_stream(f.x);
    for (int i = 0; i < 400; i++) /* more than its socket takes: some is sealed, and waits */
        http_exchange_write(f.x, piece, sizeof piece);
    assert_true(http_exchange_pending(f.x) > HTTP_HIGH_WATER);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    UNTIL(&f.t, f.drains);
    loop_settle(&f.t); /* what the connection had of TLS is freed now */
    assert_int_equal(http_exchange_pending(f.x), 0);
    http_exchange_write(f.x, "more", 4);
    http_exchange_end(f.x);
    assert_int_equal(f.gones, 0);
}

/* --- several ------------------------------------------------------------------------------------
 *
 * A handler may end any exchange in any of its events.
 */

static struct http_exchange *several[3];
static unsigned ended;

static void end_the_others(struct http_exchange *x, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < 3; i++) {
        struct http_exchange *other = several[i];
        several[i] = NULL;
        ended += other != NULL;
        if (other && other != x)
            http_exchange_abort(other);
    }
}

static const struct http_exchange_events entangled = {.gone = end_the_others};

static void take_entangled(struct http_exchange *x)
{
    several[f.requests - 1] = x;
    http_exchange_outlive(x);
    http_exchange_take(x, &entangled, NULL);
}

static void one_that_ends_the_others(void **state)
{
    (void)state;
    ended = 0;
    f.on_request = take_entangled;
    for (int i = 0; i < 3; i++)
        leave(ask(GET("/")));
    close_server();
    assert_int_equal(ended, 3);
}

static void end_the_orphan(struct http_exchange *x)
{
    http_exchange_end(f.x);
    f.x = NULL;
    reply(x);
}

/* As one that asks for the end of another's, behind a request that was answered later. */
static void a_pipelined_request_that_ends_an_orphan(void **state)
{
    (void)state;
    f.on_request = take;
    struct peer *p = ask(GET("/later") GET("/end"));
    struct http_exchange *later = f.x;
    orphan(); /* on a connection that came behind that one */
    f.on_request = end_the_orphan;
    reply(later);
    loop_settle(&f.t);
    assert_text(p, HELLO HELLO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_answer),
        TEST(the_answer_goes_nowhere),
        TEST(in_the_turn_of_its_answer),
        TEST(in_the_middle_of_an_answer_that_is_held_up),
        TEST(a_drain_that_ends_it),
        TEST(while_its_body_comes),
        TEST(after_its_answer),
        TEST(its_handler_gives_up),
        TEST(what_was_pipelined_behind_it_is_dropped),
        TEST(the_server_closes),
        TEST(it_does_not_become_one_while_the_server_closes),
        cmocka_unit_test_setup_teardown(over_tls, serve_tls, tear_down),
        TEST(no_more_than_a_bound),
        TEST(an_end_makes_room),
        TEST(one_that_ends_the_others),
        TEST(a_pipelined_request_that_ends_an_orphan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
