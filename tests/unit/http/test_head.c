/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/head.h"
#include "http/head_parser.h"

struct parsed {
    llhttp_t parser;
    llhttp_settings_t settings;
    struct http_head head;
};

static int on_headers_complete(llhttp_t *p)
{
    ((struct http_head *)p->data)->complete = true;
    return 0;
}

static void start(struct parsed *p, llhttp_type_t type)
{
    llhttp_settings_init(&p->settings);
    head_parser_setup(&p->settings);
    p->settings.on_headers_complete = on_headers_complete;
    llhttp_init(&p->parser, type, &p->settings);
    http_head_init(&p->head);
    p->parser.data = &p->head;
}

static void parse(struct parsed *p, const char *text)
{
    start(p, HTTP_REQUEST);
    assert_int_equal(llhttp_execute(&p->parser, text, strlen(text)), HPE_OK);
    assert_true(p->head.complete);
}

static void assert_field(const struct http_head *h, const char *name, const char *value)
{
    const char *is = http_head_get(h, name);
    assert_non_null(is);
    assert_string_equal(is, value);
}

static void fields_in_order(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET /x?y HTTP/1.1\r\nHost: a\r\nX-B:  two words \r\nx-b: c\r\n\r\n");
    assert_string_equal(p.head.text.data, "/x?y");
    assert_int_equal(p.head.n_fields, 3);
    assert_string_equal(http_field_name(&p.head, 1), "X-B");
    assert_string_equal(http_field_value(&p.head, 1), "two words");
    assert_string_equal(http_field_name(&p.head, 2), "x-b");
    assert_string_equal(http_field_value(&p.head, 2), "c");
    http_head_finish(&p.head);
}

static void the_first_of_a_name_in_any_case(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET / HTTP/1.1\r\nAccept: a\r\nACCEPT: b\r\n\r\n");
    assert_field(&p.head, "accept", "a");
    assert_null(http_head_get(&p.head, "accep"));
    assert_null(http_head_get(&p.head, "accepts"));
    http_head_finish(&p.head);
}

static void an_empty_value(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET / HTTP/1.1\r\nA:\r\nB: \r\nC: c\r\n\r\n");
    assert_int_equal(p.head.n_fields, 3);
    assert_field(&p.head, "a", "");
    assert_field(&p.head, "b", "");
    assert_field(&p.head, "c", "c");
    http_head_finish(&p.head);
}

static void byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = "GET /target HTTP/1.1\r\nOne: 1\r\nTwo: 22\r\n\r\n";
    struct parsed p;
    start(&p, HTTP_REQUEST);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char *one = malloc(1); /* so that reading beyond it is seen */
        *one = text[i];
        assert_int_equal(llhttp_execute(&p.parser, one, 1), HPE_OK);
        free(one);
    }
    assert_string_equal(p.head.text.data, "/target");
    assert_int_equal(p.head.n_fields, 2);
    assert_field(&p.head, "One", "1");
    assert_field(&p.head, "Two", "22");
    http_head_finish(&p.head);
}

static void an_answer(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 0\r\n\r\n";
    struct parsed p;
    start(&p, HTTP_RESPONSE);
    assert_int_equal(llhttp_execute(&p.parser, text, sizeof text - 1), HPE_OK);
    assert_field(&p.head, "a", "b");
    assert_int_equal(p.head.n_fields, 2);
    http_head_finish(&p.head);
}

static void an_answer_without_a_reason(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200\r\nA: b\r\nContent-Length: 0\r\n\r\n";
    struct parsed p;
    start(&p, HTTP_RESPONSE);
    assert_int_equal(llhttp_execute(&p.parser, text, sizeof text - 1), HPE_OK);
    assert_field(&p.head, "a", "b");
    http_head_finish(&p.head);
}

static void trailers_are_no_part_of_it(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
              "1\r\nx\r\n0\r\nHost: evil\r\nAuthorization: x\r\n\r\n");
    assert_int_equal(p.head.n_fields, 1);
    assert_null(http_head_get(&p.head, "host"));
    assert_null(http_head_get(&p.head, "authorization"));
    http_head_finish(&p.head);
}

static void tokens_of_a_list(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET / HTTP/1.1\r\nX: a, Bee,c ,\td\r\nx: ,, e\r\n\r\n");
    assert_true(http_head_has_token(&p.head, "x", "a"));
    assert_true(http_head_has_token(&p.head, "X", "bee"));
    assert_true(http_head_has_token(&p.head, "x", "c"));
    assert_true(http_head_has_token(&p.head, "x", "d"));
    assert_true(http_head_has_token(&p.head, "x", "e")); /* of the second field */
    assert_false(http_head_has_token(&p.head, "x", "be"));
    assert_false(http_head_has_token(&p.head, "x", "beee"));
    assert_false(http_head_has_token(&p.head, "x", ""));
    assert_false(http_head_has_token(&p.head, "y", "a"));
    http_head_finish(&p.head);
}

static void fields_of_one_connection(void **state)
{
    (void)state;
    static const char *const hop[] = {"Keep-Alive", "te",      "Trailer", "Transfer-Encoding",
                                      "Upgrade",    "X-Named", "X-Other", "Proxy-Connection"};
    static const char *const end_to_end[] = {"Host", "Accept", "X-Name", "TE2"};
    struct parsed p;
    char text[512];
    for (size_t i = 0; i < sizeof hop / sizeof *hop; i++) {
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\n%s: chunked\r\nConnection: close, x-named\r\n"
                 "Connection: X-OTHER\r\n\r\n",
                 hop[i]);
        parse(&p, text);
        assert_true(http_field_is_hop(&p.head, 0));
        assert_true(http_field_is_hop(&p.head, 1)); /* Connection itself */
        http_head_finish(&p.head);
    }
    for (size_t i = 0; i < sizeof end_to_end / sizeof *end_to_end; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s: a\r\nConnection: x-named\r\n\r\n",
                 end_to_end[i]);
        parse(&p, text);
        assert_false(http_field_is_hop(&p.head, 0));
        http_head_finish(&p.head);
    }
}

static void as_many_fields_as_allowed(void **state)
{
    (void)state;
    for (unsigned n = HTTP_FIELDS_MAX; n <= HTTP_FIELDS_MAX + 1; n++) {
        struct parsed p;
        start(&p, HTTP_REQUEST);
        llhttp_errno_t rc = llhttp_execute(&p.parser, "GET / HTTP/1.1\r\n", 16);
        for (unsigned i = 0; i < n && rc == HPE_OK; i++)
            rc = llhttp_execute(&p.parser, "A: b\r\n", 6);
        if (rc == HPE_OK)
            rc = llhttp_execute(&p.parser, "\r\n", 2);
        assert_int_equal(rc, n > HTTP_FIELDS_MAX ? HPE_USER : HPE_OK);
        assert_int_equal(p.head.n_fields, HTTP_FIELDS_MAX);
        http_head_finish(&p.head);
    }
}

static void clear_forgets_everything(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET / HTTP/1.1\r\nA: b\r\n\r\n");
    http_head_clear(&p.head);
    assert_int_equal(p.head.n_fields, 0);
    assert_false(p.head.complete);
    assert_null(http_head_get(&p.head, "a"));
    http_head_finish(&p.head);
}

static void finish_twice(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "GET / HTTP/1.1\r\nA: b\r\n\r\n");
    http_head_finish(&p.head);
    http_head_finish(&p.head);
    assert_null(http_head_get(&p.head, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_in_order),
        cmocka_unit_test(the_first_of_a_name_in_any_case),
        cmocka_unit_test(an_empty_value),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(an_answer),
        cmocka_unit_test(an_answer_without_a_reason),
        cmocka_unit_test(trailers_are_no_part_of_it),
        cmocka_unit_test(tokens_of_a_list),
        cmocka_unit_test(fields_of_one_connection),
        cmocka_unit_test(as_many_fields_as_allowed),
        cmocka_unit_test(clear_forgets_everything),
        cmocka_unit_test(finish_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
