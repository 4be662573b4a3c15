/* SPDX-License-Identifier: MIT */
#include "../http/server_test.h"

#include "api/caller.h"
#include "http/connection.h"

static struct config config;
static struct caller w;
static struct caller_text told;
static const char *peer; /* from where it seems to come */

static void note_caller(struct http_exchange *x)
{
    if (peer)
        snprintf(x->peer, sizeof x->peer, "%s", peer);
    caller_init(&w, &config, x);
    caller_text_set(&told, &w);
    reply(x);
}

/* `fields`: each with its line's end. */
static void come(const char *target, const char *fields)
{
    char text[4096];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n%s\r\n",
             target, fields);
    f.on_request = note_caller;
    memset(&w, 'x', sizeof w);
    memset(&told, 'x', sizeof told);
    unsigned before = f.requests;
    ask(text);
    assert_int_equal(f.requests, before + 1);
}

static void assert_described(const char *wanted)
{
    char *text = caller_text_describe(&told);
    assert_string_equal(text, wanted);
    free(text);
}

static int begin(void **state)
{
    peer = NULL;
    return set_up(state);
}

static int end(void **state)
{
    keys_finish(&config.api_keys);
    strv_finish(&config.cors_origins);
    return tear_down(state);
}

static void as_people_read_it(void **state)
{
    (void)state;
    peer = "127.0.0.1:4711";
    come("/v1/chat/completions?model=x#y", "");
    assert_described("POST /v1/chat/completions from 127.0.0.1:4711");
    come("/props", "User-Agent: curl/8.0\r\n");
    assert_described("POST /props from 127.0.0.1:4711 (curl/8.0)");
    keys_add(&config.api_keys, "k1", "alice");
    keys_add(&config.api_keys, "k2", NULL);
    come("/props", "User-Agent: curl/8.0\r\nAuthorization: Bearer k1\r\n");
    assert_described("POST /props from 127.0.0.1:4711 (key alice, curl/8.0)");
    come("/props", "Authorization: Bearer k2\r\n");
    assert_described("POST /props from 127.0.0.1:4711 (key 2)");
    come("/props", "Authorization: Bearer wrong\r\n");
    assert_described("POST /props from 127.0.0.1:4711");
}

static void assert_client(const char *from, const char *through, const char *wanted)
{
    char field[256];
    peer = from;
    snprintf(field, sizeof field, "X-Forwarded-For: %s\r\n", through);
    come("/", field);
    assert_string_equal(told.client, wanted);
}

/* Only a proxy of this machine is believed: anybody may send such a field. */
static void through_a_proxy(void **state)
{
    (void)state;
    assert_client("127.0.0.1:1", "192.0.2.7", "192.0.2.7 via 127.0.0.1:1");
    assert_client("127.9.9.9:1", "192.0.2.7, 10.0.0.1", "192.0.2.7 via 127.9.9.9:1");
    assert_client("[::1]:1", "2001:db8::7", "2001:db8::7 via [::1]:1");
    assert_client("[::ffff:127.0.0.1]:1", "192.0.2.7", "192.0.2.7 via [::ffff:127.0.0.1]:1");
    assert_client("unix", "192.0.2.7", "192.0.2.7 via unix");
    assert_client("127.0.0.1:1", "", "127.0.0.1:1");
    assert_client("192.0.2.1:1", "192.0.2.7", "192.0.2.1:1");
    assert_client("[2001:db8::1]:1", "192.0.2.7", "[2001:db8::1]:1");
    assert_client("[::ffff:192.0.2.1]:1", "192.0.2.7", "[::ffff:192.0.2.1]:1");
    assert_client("[::12]:1", "192.0.2.7", "[::12]:1");
    peer = NULL; /* as it is */
    come("/", "");
    assert_string_equal(told.client, "unix");
}

/* It goes into logs and JSON: valid UTF-8, a line, and no more than there is place for. */
static void whatever_is_sent(void **state)
{
    char fields[1024], name[300], long_path[300];
    (void)state;
    come("/", "User-Agent: a\xff\tb\xc3\xa4\r\n");
    assert_string_equal(told.agent, "a? b\xc3\xa4");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    keys_add(&config.api_keys, "k", name);
    snprintf(fields, sizeof fields, "X-Api-Key: k\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n",
             name, name);
    memset(long_path, 'p', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    come(long_path, fields);
    assert_int_equal(strlen(told.request), sizeof told.request - 1);
    assert_int_equal(strlen(told.client), sizeof told.client - 1);
    assert_int_equal(strlen(told.key), sizeof told.key - 1);
    assert_int_equal(strlen(told.agent), sizeof told.agent - 1);
    /* Who is believed to have passed it on is said all the same. */
    assert_string_equal(told.client + strlen(told.client) - 9, " via unix");
    /* A character is cut off as a whole. */
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa4", 2);
    name[sizeof name - 2] = '\0';
    snprintf(fields, sizeof fields, "User-Agent: %s\r\nX-Forwarded-For: %s\r\n", name, name);
    come("/", fields);
    assert_int_equal(strlen(told.agent), sizeof told.agent - 2);
    assert_null(strchr(told.client, '?'));
}

static bool has_key(const char *fields)
{
    come("/", fields);
    assert_int_equal(caller_may(&w, RIGHT_INFER, NULL), caller_may(&w, RIGHT_ADMIN, NULL));
    assert_true(caller_may(&w, RIGHT_NONE, NULL));
    return caller_may(&w, RIGHT_INFER, NULL);
}

static void where_a_key_may_stand(void **state)
{
    (void)state;
    assert_true(has_key(""));
    keys_add(&config.api_keys, "k", NULL);
    assert_true(has_key("Authorization: Bearer k\r\n"));
    assert_true(has_key("authorization: bearer k\r\n"));
    assert_true(has_key("Authorization: k\r\n"));
    assert_true(has_key("X-Api-Key: k\r\n"));
    assert_true(has_key("X-Api-Key: Bearer k\r\n"));
    assert_true(has_key("Authorization:\r\nX-Api-Key: k\r\n"));
    assert_false(has_key(""));
    assert_false(has_key("Authorization: Basic k\r\n"));
    assert_false(has_key("Authorization: Bearer\r\n"));
    assert_false(has_key("Authorization: Bearer x\r\nX-Api-Key: k\r\n"));
}

/* `wanted`: the rights that a page has whose browser sends `fields`. */
static void assert_rights(const char *fields, const enum right *wanted, size_t n)
{
    come("/", fields);
    for (int right = 0; right < RIGHT_COUNT; right++) {
        bool has = false;
        for (size_t i = 0; i < n; i++)
            has |= wanted[i] == (enum right)right;
        if (caller_may(&w, (enum right)right, NULL) != has)
            fail_msg("%s: right %d is %d", fields, right, !has);
    }
}

static void what_a_page_may_do(void **state)
{
    static const enum right all[] = {RIGHT_NONE,   RIGHT_LIST,     RIGHT_INFER,  RIGHT_RESUME,
                                     RIGHT_STATUS, RIGHT_LOGS,     RIGHT_LOAD,   RIGHT_HOLD,
                                     RIGHT_UNLOAD, RIGHT_DOWNLOAD, RIGHT_DELETE, RIGHT_ADMIN};
    static const enum right of_a_page[] = {RIGHT_NONE, RIGHT_LIST, RIGHT_INFER};
    (void)state;
    strv_add(&config.cors_origins, "*");
    assert_rights("", all, 12);
    assert_rights("Origin: http://localhost:3000\r\n", all, 12);
    assert_rights("Origin: https://evil.example\r\n", of_a_page, 3);
    assert_rights("Sec-Fetch-Site: cross-site\r\n", of_a_page, 3);
    keys_add(&config.api_keys, "k", NULL);
    assert_rights("Origin: https://evil.example\r\nX-Api-Key: k\r\n", of_a_page, 3);
    assert_rights("Origin: https://evil.example\r\n", of_a_page, 1);
    assert_rights("Origin: http://localhost\r\n", all, 1);
    assert_rights("Origin: http://localhost\r\nX-Api-Key: k\r\n", all, 12);
}

#define CALLER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER_TEST(as_people_read_it),  CALLER_TEST(through_a_proxy),
        CALLER_TEST(whatever_is_sent),   CALLER_TEST(where_a_key_may_stand),
        CALLER_TEST(what_a_page_may_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
