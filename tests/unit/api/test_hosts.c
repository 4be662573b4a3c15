/* SPDX-License-Identifier: MIT */
/* By which names and addresses requests may reach the server. */
#include "../http/server_test.h"

#include "api/hosts.h"
#include "base/memory.h"

static struct hosts hosts;

static void assert_has(const char *authority)
{
    if (!hosts_have(&hosts, authority, strlen(authority)))
        fail_msg("'%s' is refused", authority);
}

static void assert_lacks(const char *authority)
{
    if (hosts_have(&hosts, authority, strlen(authority)))
        fail_msg("'%s' is accepted", authority);
}

static void assert_all(void (*check)(const char *), const char *const *authorities)
{
    for (; *authorities; authorities++)
        check(*authorities);
}

/* What `hostler serve --host HOST --allowed-hosts ALLOWED` answers to. A listener's port is any free one. */
static void listen_on(const char *host, const char *allowed)
{
    struct config c = {.host = mem_strdup(host)};
    struct error err;
    strv_split(&c.allowed_hosts, allowed, ',');
    assert_int_equal(http_server_listen(f.server, host, 0, 0, &err), 0);
    hosts_init(&hosts, &c, f.server);
    strv_finish(&c.allowed_hosts);
    free(c.host);
}

static const char *const loopback[] = {
    "localhost",  "localhost:8080",  "LocalHost",  "localhost.", "localhost.:1",
    "127.0.0.1",  "127.0.0.1:65535", "127.0.0.1:", "127.3.2.1",  "[::1]",
    "[::1]:8080", "[0:0::1]",        "[::1]:",     NULL,
};
static const char *const nonsense[] = {
    "",
    ".",
    ":80",
    "[]",
    "[::1",
    "[::1]x",
    "[::1].evil.example",
    "::1",
    "localhost:80:80",
    "localhost:123456",
    "localhost:8o",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost/",
    "localhost evil.example",
    "localhost,evil.example",
    "localhost..",
    "%6cocalhost",
    NULL,
};
static const char *const others[] = {
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "evillocalhost",
    "evil.localhost",
    "127.0.0.1.evil",
    "127.0.0.1.nip.example",
    "127.1",
    "2130706433",
    "0x7f000001",
    "128.0.0.1",
    "[::2]",
    "localhost.localdomain",
    NULL,
};
static const char *const addresses[] = {"192.0.2.1",        "192.0.2.1:80", "0.0.0.0:8080",
                                        "[2001:db8::1]:80", "[::]",         NULL};

static void bound_to_loopback(void **state)
{
    (void)state;
    listen_on("127.0.0.1", "");
    assert_all(assert_has, loopback);
    assert_all(assert_lacks, nonsense);
    assert_all(assert_lacks, others);
    assert_all(assert_lacks, addresses);
}

static void names_that_are_allowed(void **state)
{
    static const char *const named[] = {"box.example",   "BOX.example.:443",  "192.0.2.1:8080",
                                        "[2001:db8::1]", "[2001:DB8:0::1]:1", NULL};
    static const char *const not_named[] = {"a.box.example", "box.example.evil", "192.0.2.2", NULL};
    (void)state;
    listen_on("127.0.0.1", "Box.example:8443, 192.0.2.1,2001:db8::1");
    assert_all(assert_has, loopback);
    assert_all(assert_has, named);
    assert_all(assert_lacks, not_named);
    assert_all(assert_lacks, nonsense);
}

static void bound_to_all(void **state)
{
    (void)state;
    listen_on("0.0.0.0", "");
    assert_true(hosts.any_name);
    assert_all(assert_has, loopback);
    assert_all(assert_has, others);
    assert_all(assert_has, addresses);
}

/* An address in Host is no rebound name: the browser asked for that very address. */
static void bound_to_all_with_names(void **state)
{
    (void)state;
    listen_on("0.0.0.0", "box.example");
    assert_has("box.example");
    assert_all(assert_has, loopback);
    assert_all(assert_has, addresses);
    assert_lacks("evil.example");
    assert_all(assert_lacks, nonsense);
}

static void any_name_by_wish(void **state)
{
    (void)state;
    listen_on("127.0.0.1", "*");
    assert_all(assert_has, others);
    assert_all(assert_has, addresses);
}

static void the_name_it_listens_by(void **state)
{
    (void)state;
    listen_on("localhost", "");
    assert_all(assert_has, loopback);
    assert_lacks("evil.example");
}

static bool accepted;

static void check(struct http_exchange *x)
{
    accepted = hosts_accept(&hosts, x);
    reply(x);
}

static void over_a_unix_socket(void **state)
{
    (void)state;
    f.on_request = check;
    ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_true(accepted);
}

static int begin(void **state)
{
    hosts = (struct hosts){0};
    return set_up(state);
}

static int end(void **state)
{
    hosts_finish(&hosts);
    return tear_down(state);
}

#define HOSTS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTS_TEST(bound_to_loopback),  HOSTS_TEST(names_that_are_allowed),
        HOSTS_TEST(bound_to_all),       HOSTS_TEST(bound_to_all_with_names),
        HOSTS_TEST(any_name_by_wish),   HOSTS_TEST(the_name_it_listens_by),
        HOSTS_TEST(over_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
