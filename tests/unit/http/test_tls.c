/* SPDX-License-Identifier: MIT */
/* The server's side of TLS against OpenSSL's client, through memory: no socket takes part. */
#include "tls_test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "http/tls.h"

static const char *const files[] = {"c.pem",        "k.pem",        "other-c.pem",
                                    "other-k.pem",  "old-c.pem",    "old-k.pem",
                                    "locked-c.pem", "locked-k.pem", "text"};

static struct tls_identity *identity;
static struct tls *t;
static SSL_CTX *client_ctx;
static SSL *client;
static struct buf got; /* what the server read */
static enum tls_result last;
static struct error err;

static int make_files(void **state)
{
    (void)state;
    tls_folder_create();
    tls_make("c.pem", "k.pem", DAY, NULL);
    tls_make("other-c.pem", "other-k.pem", DAY, NULL);
    tls_make("old-c.pem", "old-k.pem", -DAY, NULL);
    tls_make("locked-c.pem", "locked-k.pem", DAY, "secret");
    FILE *file = tls_create_file("text");
    fputs("no PEM\n", file);
    fclose(file);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    tls_folder_remove(files, sizeof files / sizeof *files);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&got, BUF_UNBOUNDED);
    assert_int_equal(tls_identity_load(&identity, tls_path("c.pem"), tls_path("k.pem"), &err), 0);
    t = tls_create(identity);
    assert_non_null(t);
    client_ctx = SSL_CTX_new(TLS_client_method());
    client = SSL_new(client_ctx);
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    SSL_free(client);
    SSL_CTX_free(client_ctx);
    tls_destroy(t);
    tls_identity_destroy(identity);
    buf_finish(&got);
    return 0;
}

/* --- moving bytes --------------------------------------------------------------------------- */

static void server_reads(const char *data, size_t len)
{
    char piece[1000]; /* smaller than a record */
    size_t n;
    tls_feed(t, data, len);
    while ((last = tls_read(t, piece, sizeof piece, &n)) == TLS_DATA)
        assert_int_equal(buf_append(&got, piece, n), 0);
}

/* What the client has written, in pieces of `step` bytes. */
static bool to_server(size_t step)
{
    static char piece[65536];
    int n = BIO_read(SSL_get_wbio(client), piece, (int)step);
    if (n > 0)
        server_reads(piece, (size_t)n);
    return n > 0;
}

static bool to_client(void)
{
    struct buf *sealed = tls_sealed(t);
    if (!sealed->len)
        return false;
    assert_int_equal(BIO_write(SSL_get_rbio(client), sealed->data, (int)sealed->len),
                     (int)sealed->len);
    buf_clear(sealed);
    return true;
}

/* Until neither has anything more to say. Returns whether the client is content. */
static bool shake_hands(size_t step)
{
    int rc;
    do
        rc = SSL_do_handshake(client);
    while (to_server(step) | to_client());
    return rc == 1;
}

static void seal(const char *text, size_t len)
{
    struct buf plain;
    buf_init(&plain, BUF_UNBOUNDED);
    assert_int_equal(buf_append(&plain, text, len), 0);
    assert_int_equal(tls_seal(t, &plain), 0);
    assert_int_equal(plain.len, 0);
    buf_finish(&plain);
}

static void assert_client_reads(const char *wanted)
{
    char text[64] = "";
    to_client();
    assert_int_equal(SSL_read(client, text, sizeof text - 1), (int)strlen(wanted));
    assert_string_equal(text, wanted);
}

/* --- sessions ------------------------------------------------------------------------------- */

static void both_ways(void **state)
{
    (void)state;
    assert_false(tls_is_ready(t));
    assert_false(tls_identity_has_expired(identity));
    assert_true(shake_hands(65536));
    assert_true(tls_is_ready(t));
    assert_int_equal(SSL_version(client), TLS1_3_VERSION);
    assert_int_equal(SSL_write(client, "ping", 4), 4);
    to_server(65536);
    assert_string_equal(buf_cstr(&got), "ping");
    assert_int_equal(last, TLS_MORE);
    seal("pong", 4);
    assert_client_reads("pong");
}

static void byte_by_byte(void **state)
{
    (void)state;
    assert_true(shake_hands(1));
    assert_int_equal(SSL_write(client, "ping", 4), 4);
    while (to_server(1))
        continue;
    assert_string_equal(buf_cstr(&got), "ping");
}

static void tls_1_2(void **state)
{
    (void)state;
    SSL_set_max_proto_version(client, TLS1_2_VERSION);
    assert_true(shake_hands(65536));
    assert_int_equal(SSL_version(client), TLS1_2_VERSION);
    seal("pong", 4);
    assert_client_reads("pong");
}

static void tls_1_1_is_refused(void **state)
{
    (void)state;
    SSL_set_security_level(client, 0);
    SSL_set_min_proto_version(client, TLS1_1_VERSION);
    SSL_set_max_proto_version(client, TLS1_1_VERSION);
    assert_false(shake_hands(65536));
    assert_int_equal(last, TLS_BROKEN);
}

static void large_data_and_nothing_kept(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *data = malloc(SIZE);
    assert_non_null(data);
    memset(data, 'x', SIZE);
    assert_true(shake_hands(65536));
    assert_int_equal(SSL_write(client, data, SIZE), SIZE);
    while (to_server(65536))
        continue;
    assert_int_equal(got.len, SIZE);
    seal(data, SIZE);
    assert_in_range(tls_sealed(t)->len, SIZE, SIZE + SIZE / 50); /* records add little */
    to_client();
    int n, all = 0;
    while ((n = SSL_read(client, data, SIZE)) > 0)
        all += n;
    assert_int_equal(all, SIZE);
    free(data);
}

static void the_clients_end(void **state)
{
    (void)state;
    assert_true(shake_hands(65536));
    SSL_write(client, "x", 1);
    SSL_shutdown(client);
    to_server(65536);
    assert_string_equal(buf_cstr(&got), "x");
    assert_int_equal(last, TLS_ENDED);
}

static void our_end(void **state)
{
    char text[8];
    (void)state;
    assert_true(shake_hands(65536));
    seal("x", 1);
    tls_end(t);
    assert_client_reads("x");
    assert_int_equal(SSL_get_error(client, SSL_read(client, text, 1)), SSL_ERROR_ZERO_RETURN);
}

static void an_end_before_the_handshake_says_nothing(void **state)
{
    (void)state;
    tls_end(t);
    assert_int_equal(tls_sealed(t)->len, 0);
}

static void no_tls_at_all(void **state)
{
    (void)state;
    server_reads("\x16nonsense, and long enough for a record's head", 40);
    assert_int_equal(last, TLS_BROKEN);
}

static void a_damaged_record(void **state)
{
    char piece[256];
    (void)state;
    assert_true(shake_hands(65536));
    SSL_write(client, "ping", 4);
    int n = BIO_read(SSL_get_wbio(client), piece, sizeof piece);
    piece[n - 1] ^= 1;
    server_reads(piece, (size_t)n);
    assert_int_equal(last, TLS_BROKEN);
    assert_int_equal(got.len, 0);
    assert_true(tls_sealed(t)->len > 0); /* the client is told */
}

static void http_1_1_is_chosen(void **state)
{
    const unsigned char *chosen;
    unsigned len;
    (void)state;
    SSL_set_alpn_protos(client, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    assert_true(shake_hands(65536));
    SSL_get0_alpn_selected(client, &chosen, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
}

static void who_wants_only_http_2_is_refused(void **state)
{
    (void)state;
    SSL_set_alpn_protos(client, (const unsigned char *)"\x02h2", 3);
    assert_false(shake_hands(65536));
    assert_int_equal(last, TLS_BROKEN);
}

/* Each asks for an answer; a client that takes none must not fill our memory. */
static void key_updates_without_end(void **state)
{
    (void)state;
    assert_true(shake_hands(65536));
    for (int i = 0; i < 20000 && last != TLS_BROKEN; i++) {
        assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(client, "x", 1), 1);
        while (last != TLS_BROKEN && to_server(65536))
            continue;
    }
    assert_int_equal(last, TLS_BROKEN);
    assert_in_range(tls_sealed(t)->len, 1, 300 * 1024);
}

static void a_session_outlives_its_identity(void **state)
{
    (void)state;
    tls_identity_destroy(identity);
    identity = NULL;
    assert_true(shake_hands(65536));
    seal("pong", 4);
    assert_client_reads("pong");
}

/* --- identities ----------------------------------------------------------------------------- */

static void refused(const char *cert, const char *key, const char *text)
{
    struct tls_identity *none = NULL;
    assert_true(tls_identity_load(&none, tls_path(cert), tls_path(key), &err) < 0);
    assert_null(none);
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
}

static void what_is_refused(void **state)
{
    (void)state;
    refused("nowhere", "k.pem", "--ssl-cert-file: cannot read ");
    assert_non_null(strstr(err.text, "nowhere: No such file or directory; give a PEM file"));
    refused("c.pem", "nowhere", "--ssl-key-file: cannot read ");
    refused("text", "k.pem", "holds no usable certificate");
    refused("k.pem", "k.pem", "holds no usable certificate");
    refused("c.pem", "text", "holds no usable private key");
    refused("c.pem", "c.pem", "holds no usable private key");
    refused("c.pem", "other-k.pem", "is not that of the certificate in ");
    refused("locked-c.pem", "locked-k.pem", "has a passphrase");
}

static void an_old_one_serves(void **state)
{
    struct tls_identity *old;
    (void)state;
    assert_int_equal(tls_identity_load(&old, tls_path("old-c.pem"), tls_path("old-k.pem"), &err),
                     0);
    assert_true(tls_identity_has_expired(old));
    tls_identity_destroy(old);
    tls_identity_destroy(NULL);
    tls_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_ways),
        TEST(byte_by_byte),
        TEST(tls_1_2),
        TEST(tls_1_1_is_refused),
        TEST(large_data_and_nothing_kept),
        TEST(the_clients_end),
        TEST(our_end),
        TEST(an_end_before_the_handshake_says_nothing),
        TEST(no_tls_at_all),
        TEST(a_damaged_record),
        TEST(http_1_1_is_chosen),
        TEST(who_wants_only_http_2_is_refused),
        TEST(key_updates_without_end),
        TEST(a_session_outlives_its_identity),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(an_old_one_serves),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
