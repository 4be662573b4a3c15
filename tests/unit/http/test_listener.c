/* SPDX-License-Identifier: MIT */
/* Where a server listens. */
#include "server_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "http/tcp.h"
#include "http/unix_socket.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static struct error err;

static int connect_tcp(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* --- TCP --------------------------------------------------------------------------------- */

static void a_free_port(void **state)
{
    (void)state;
    assert_int_equal(http_server_port(f.server), 0); /* only the unix socket so far */
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, 0, &err), 0);
    int port = http_server_port(f.server);
    assert_in_range(port, 1, 65535);
    f.on_request = take;
    struct peer *p = peer_add(&f.t, connect_tcp(port));
    peer_send(p, GET);
    UNTIL(&f.t, f.x);
    assert_int_equal(strncmp(http_exchange_peer(f.x), "127.0.0.1:", 10), 0);
    reply(f.x);
    UNTIL(&f.t, peer_has(p, HELLO));
}

static void a_port_that_is_shared(void **state)
{
    (void)state;
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, LISTENER_REUSE_PORT, &err), 0);
    int port = http_server_port(f.server);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", port, 0, &err), -EADDRINUSE);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", port, LISTENER_REUSE_PORT, &err), 0);
}

static void both_kinds_of_address_on_one_port(void **state)
{
    (void)state;
    if (http_server_listen(f.server, "::", 0, LISTENER_IPV6_ONLY, &err))
        skip(); /* no IPv6 here */
    int port = http_server_port(f.server);
    assert_int_equal(http_server_listen(f.server, "0.0.0.0", port, LISTENER_IPV6_ONLY, &err), 0);
    assert_int_equal(http_server_listen(f.server, "0.0.0.0", port, 0, &err), -EADDRINUSE);
}

static void addresses_are_told(void **state)
{
    (void)state;
    char address[128], wanted[128];
    bool exposed;
    assert_int_equal(http_server_listen(f.server, "127.0.0.2", 0, 0, &err), 0);
    assert_int_equal(http_server_listen(f.server, "0.0.0.0", 0, 0, &err), 0);
    assert_true(http_server_address(f.server, 0, address, sizeof address, &exposed));
    snprintf(wanted, sizeof wanted, "unix:%s", f.t.path);
    assert_string_equal(address, wanted);
    assert_false(exposed);
    assert_true(http_server_address(f.server, 1, address, sizeof address, &exposed));
    snprintf(wanted, sizeof wanted, "http://127.0.0.2:%d", http_server_port(f.server));
    assert_string_equal(address, wanted);
    assert_false(exposed);
    assert_true(http_server_address(f.server, 2, address, sizeof address, &exposed));
    assert_int_equal(strncmp(address, "http://0.0.0.0:", 15), 0);
    assert_true(exposed);
    assert_false(http_server_address(f.server, 3, address, sizeof address, &exposed));
    if (http_server_listen(f.server, "::1", 0, 0, &err) == 0) {
        assert_true(http_server_address(f.server, 3, address, sizeof address, &exposed));
        assert_int_equal(strncmp(address, "http://[::1]:", 13), 0);
        assert_false(exposed);
    }
}

static void too_many_addresses(void **state)
{
    (void)state;
    int rc = 0;
    for (int i = 0; i < 20 && !rc; i++)
        rc = http_server_listen(f.server, "127.0.0.1", 0, 0, &err);
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(err.text, "at most 16"));
}

static void a_port_in_use(void **state)
{
    (void)state;
    char wanted[128];
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, 0, &err), 0);
    int port = http_server_port(f.server);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", port, 0, &err), -EADDRINUSE);
    snprintf(wanted, sizeof wanted,
             "port %d on 127.0.0.1 is in use: another server listens there; stop it or choose "
             "another --port",
             port);
    assert_string_equal(err.text, wanted);
    assert_int_equal(http_server_port(f.server), port); /* the first one is not disturbed */
}

static void an_address_of_another_machine(void **state)
{
    (void)state;
    assert_true(http_server_listen(f.server, "192.0.2.1", 0, 0, &err) < 0); /* TEST-NET-1 */
    assert_non_null(strstr(err.text, "192.0.2.1"));
}

static void no_address_at_all(void **state)
{
    (void)state;
    assert_true(http_server_listen(f.server, "300.1.1.1.invalid", 0, 0, &err) < 0);
    assert_non_null(strstr(err.text, "cannot resolve --host 300.1.1.1.invalid"));
}

/* A body that nobody reads, over TCP: closing at once would reset the connection, and the reset
 * would overtake the answer. */
static void an_early_answer_is_not_destroyed_by_a_reset(void **state)
{
    (void)state;
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, 0, &err), 0);
    struct peer *p = peer_add(&f.t, connect_tcp(http_server_port(f.server)));
    p->deaf = true; /* reads only when it has said everything */
    peer_send(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n");
    peer_send_fill(p, 9000000);
    UNTIL(&f.t, !p->out.len);
    p->deaf = false;
    UNTIL(&f.t, p->ended || p->reset);
    assert_text(p, HELLO_CLOSE);
    assert_false(p->reset);
}

/* --- unix sockets ------------------------------------------------------------------------ */

static void a_socket_is_for_its_user_only(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(stat(f.t.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_socket_in_use_is_refused(void **state)
{
    (void)state;
    assert_int_equal(http_server_listen(f.server, f.t.path, 0, 0, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, f.t.path));
    assert_non_null(strstr(err.text, "is in use"));
    loop_settle(&f.t);
    assert_text(ask(GET), HELLO); /* and nothing happened to it */
}

static void a_stale_socket_is_replaced(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/stale.sock", f.t.folder);
    close(listen_at(path, 1));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(http_server_listen(f.server, path, 0, 0, &err), 0);
    strcpy(f.t.path, path);
    assert_text(ask(GET), HELLO);
    close_server();
    snprintf(path, sizeof path, "%s/a.sock", f.t.folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void ignore(int number)
{
    (void)number;
}

/* A server that is so busy that it does not even accept is alive, and asking must not hang. */
static void a_socket_with_a_full_queue_is_in_use(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/full.sock", f.t.folder);
    int fd = listen_at(path, 0), waiting[8], n = 0;
    struct sockaddr_un a = unix_address(path);
    do {
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    } while (connect(waiting[n++], (struct sockaddr *)&a, sizeof a) == 0 && n < 8);
    assert_in_range(n, 1, 7);
    const struct sigaction interrupt = {.sa_handler = ignore};
    sigaction(SIGALRM, &interrupt, NULL);
    alarm(5); /* ends a connect() that hangs */
    assert_int_equal(http_server_listen(f.server, path, 0, 0, &err), -EADDRINUSE);
    assert_true(alarm(0) > 0);
    while (n)
        close(waiting[--n]);
    close(fd);
    unlink(path);
}

static void no_socket_is_refused(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/file.sock", f.t.folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(http_server_listen(f.server, path, 0, 0, &err), -EEXIST);
    assert_non_null(strstr(err.text, "exists and is no socket"));
    loop_settle(&f.t);
    assert_int_equal(unlink(path), 0); /* still there */
}

static void a_path_too_long(void **state)
{
    (void)state;
    char path[200];
    memset(path, 'x', sizeof path);
    strcpy(path + sizeof path - 6, ".sock");
    assert_int_equal(http_server_listen(f.server, path, 0, 0, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "at most 107 bytes"));
}

static void a_folder_that_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(http_server_listen(f.server, "/nonexistent/a.sock", 0, 0, &err), -ENOENT);
    assert_non_null(strstr(err.text, "cannot listen on /nonexistent/a.sock"));
}

static void closing_removes_the_socket(void **state)
{
    (void)state;
    close_server();
    assert_int_equal(access(f.t.path, F_OK), -1);
}

/* The next server may be there before the last handle of this one is closed. */
static void closing_leaves_a_successors_socket_alone(void **state)
{
    (void)state;
    http_server_close(f.server, note_closed, &f);
    struct http_server *next = http_server_create(&f.t.loop, handle, &f);
    assert_int_equal(http_server_listen(next, f.t.path, 0, 0, &err), 0);
    UNTIL(&f.t, f.closed);
    int there = access(f.t.path, F_OK);
    f.closed = false;
    f.server = next;
    close_server();
    assert_int_equal(there, 0);
}

/* Many start at once where a dead server's file lies: one gets it, and it is that one who is reached. */
static void a_race_for_a_dead_socket(void **state)
{
    (void)state;
    enum { N = 8, ROUNDS = 20 };
    char path[64];
    snprintf(path, sizeof path, "%s/race.sock", f.t.folder);
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], done[2], won = 0;
        int dead = listen_at(path, 1);
        close(dead); /* its file stays */
        assert_int_equal(pipe(go) | pipe(done), 0);
        pid_t pids[N];
        for (int i = 0; i < N; i++) {
            pids[i] = fork();
            if (pids[i])
                continue;
            char c;
            struct unix_socket made = {0};
            struct error why;
            close(go[1]);
            (void)!read(go[0], &c, 1); /* all begin when it is closed */
            int fd = unix_socket_listen(&made, path, 8, &why);
            c = fd >= 0;
            (void)!write(done[1], &c, 1);
            pause(); /* listens until it is killed */
        }
        close(go[0]);
        close(go[1]);
        for (int i = 0; i < N; i++) {
            char c = 0;
            assert_int_equal(read(done[0], &c, 1), 1);
            won += c;
        }
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un a = unix_address(path);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        close(fd);
        for (int i = 0; i < N; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
        close(done[0]);
        close(done[1]);
        unlink(path);
        assert_int_equal(won, 1);
    }
}

/* A file that a successor made is not removed. */
static void a_successors_file_stays(void **state)
{
    (void)state;
    char path[64];
    struct unix_socket first = {0}, second = {0};
    snprintf(path, sizeof path, "%s/next.sock", f.t.folder);
    int fd = unix_socket_listen(&first, path, 8, &err);
    assert_true(fd >= 0);
    assert_int_equal(unix_socket_listen(&second, path, 8, &err), -EADDRINUSE);
    close(fd);
    fd = unix_socket_listen(&second, path, 8, &err);
    assert_true(fd >= 0);
    if (first.inode != second.inode) {
        unix_socket_remove(&first, path);
        assert_int_equal(access(path, F_OK), 0);
    }
    unix_socket_remove(&second, path);
    assert_int_equal(access(path, F_OK), -1);
    close(fd);
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

/* Silence of a minute at most, before a client that vanished is noticed. */
static void probes_are_sent(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tcp_tune(fd);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    int idle = option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE);
    int every = option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL);
    assert_in_range(idle + every * option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 1, 60);
    close(fd);
}

static void who_is_gone(void **state)
{
    (void)state;
    const struct tcp_info quiet = {.tcpi_last_ack_recv = 500000};
    const struct tcp_info slow = {
        .tcpi_last_ack_recv = 30000, .tcpi_unacked = 9, .tcpi_retransmits = 7};
    const struct tcp_info closed_window = {.tcpi_last_ack_recv = 90000, .tcpi_probes = 1};
    const struct tcp_info gone = {
        .tcpi_last_ack_recv = 61000, .tcpi_unacked = 1, .tcpi_retransmits = 8};
    const struct tcp_info gone_closed = {.tcpi_last_ack_recv = 200000, .tcpi_probes = 3};
    assert_false(tcp_info_is_gone(&quiet)); /* it owes nothing: the kernel's probes tell */
    assert_false(tcp_info_is_gone(&slow));
    assert_false(tcp_info_is_gone(&closed_window)); /* it does not read, and is there */
    assert_true(tcp_info_is_gone(&gone));
    assert_true(tcp_info_is_gone(&gone_closed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_race_for_a_dead_socket),
        TEST(a_successors_file_stays),
        TEST(probes_are_sent),
        TEST(who_is_gone),
        TEST(a_free_port),
        TEST(a_port_that_is_shared),
        TEST(both_kinds_of_address_on_one_port),
        TEST(addresses_are_told),
        TEST(too_many_addresses),
        TEST(a_port_in_use),
        TEST(an_address_of_another_machine),
        TEST(no_address_at_all),
        TEST(an_early_answer_is_not_destroyed_by_a_reset),
        TEST(a_socket_is_for_its_user_only),
        TEST(a_socket_in_use_is_refused),
        TEST(a_stale_socket_is_replaced),
        TEST(no_socket_is_refused),
        TEST(a_path_too_long),
        TEST(a_folder_that_is_not_there),
        TEST(closing_removes_the_socket),
        TEST(closing_leaves_a_successors_socket_alone),
        TEST(a_socket_with_a_full_queue_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
