/* SPDX-License-Identifier: MIT */
/* An answer put together from its chunks, as llama-server and others send them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run/chat.h"

static struct chat c;
static struct buf shown;

static int show(const char *text, void *ctx)
{
    (void)ctx;
    return buf_puts(&shown, text);
}

static int think(const char *text, void *ctx)
{
    (void)ctx;
    return buf_printf(&shown, "(%s)", text);
}

static int setup(void **state)
{
    (void)state;
    chat_init(&c);
    buf_init(&shown, BUF_UNBOUNDED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chat_finish(&c);
    buf_finish(&shown);
    return 0;
}

static int event(const char *data)
{
    const struct chat_listener listener = {.content = show, .reasoning = think};
    return chat_event(&c, data, strlen(data), false, &listener);
}

static const char *text_at(json_t *o, const char *member)
{
    json_t *choice = json_array_get(json_object_get(o, "choices"), 0);
    return json_string_value(json_object_get(json_object_get(choice, "message"), member));
}

static void pieces_make_an_answer(void **state)
{
    json_int_t tokens;
    double rate;
    (void)state;
    assert_int_equal(event("{\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":"
                           "{\"role\":\"assistant\",\"content\":null}}]}"),
                     0);
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}"), 0);
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":\"Pa\"}}]}"), 0);
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":\"ris\"}}]}"), 0);
    assert_int_equal(event("{\"choices\":[{\"finish_reason\":\"stop\",\"delta\":{}}]}"), 0);
    assert_int_equal(event("{\"choices\":[],\"usage\":{\"completion_tokens\":3},"
                           "\"timings\":{\"predicted_n\":3,\"predicted_ms\":30.0}}"),
                     0);
    assert_int_not_equal(event("[DONE]"), 0);
    assert_string_equal(buf_cstr(&shown), "(hm)Paris");
    chat_speed(&c, &tokens, &rate);
    assert_int_equal(tokens, 3);
    assert_int_equal((int)(rate + 0.5), 100);

    json_t *o = chat_object(&c);
    assert_string_equal(json_string_value(json_object_get(o, "object")), "chat.completion");
    assert_string_equal(json_string_value(json_object_get(o, "model")), "m");
    assert_string_equal(text_at(o, "content"), "Paris");
    assert_string_equal(text_at(o, "reasoning_content"), "hm");
    json_decref(o);
}

static void errors_in_the_middle_end_it(void **state)
{
    (void)state;
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":\"Pa\"}}]}"), 0);
    assert_int_not_equal(event("{\"error\":{\"code\":500,\"message\":\"no memory\"}}"), 0);
    assert_string_equal(c.err.text, "no memory");
}

static void older_servers_send_an_error_field(void **state)
{
    const struct chat_listener listener = {0};
    static const char data[] = "{\"code\":500,\"message\":\"slot died\",\"type\":\"server_error\"}";
    (void)state;
    assert_int_not_equal(chat_event(&c, data, sizeof data - 1, true, &listener), 0);
    assert_string_equal(c.err.text, "slot died");
}

static void odd_chunks_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(event("{}"), 0);
    assert_int_equal(event("{\"choices\":null}"), 0);
    assert_int_equal(event("{\"choices\":[null]}"), 0);
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":7}}]}"), 0);
    assert_int_equal(event("{\"choices\":[{\"delta\":\"x\"}],\"usage\":3,\"timings\":[]}"), 0);
    assert_int_not_equal(event("[]"), 0);
    assert_int_not_equal(event("no JSON"), 0);
    json_decref(chat_object(&c));
}

static void errors_are_found_wherever_they_stand(void **state)
{
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{\"error\":{\"code\":400,\"message\":\"bad\"}}", "bad"},
        {"{\"error\":\"bad\"}", "bad"},
        {"{\"detail\":\"bad\"}", "bad"},
        {"  <html>\nmore", "a web page"},
        {"", NULL},
        {"  \n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = router_error_text(cases[i].body, strlen(cases[i].body));
        if (cases[i].text)
            assert_string_equal(text, cases[i].text);
        else
            assert_null(text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_make_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_in_the_middle_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(older_servers_send_an_error_field, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_chunks_do_no_harm, setup, teardown),
        cmocka_unit_test(errors_are_found_wherever_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
