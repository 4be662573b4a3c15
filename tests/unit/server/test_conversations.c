/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/conversations.h"

/* The prompt of `messages` elements, 10 bytes each, of which the first `shared` are the same in all conversations. */
static struct prompt_chain prompt(uint64_t conversation, unsigned shared, unsigned messages)
{
    struct prompt_chain c = {0};
    size_t cap = 0;
    for (unsigned n = 1; n <= messages; n++) {
        uint64_t hash = n <= shared ? 0 : conversation;
        struct prompt_point point = {.at = n * 10ULL, .hash = {hash * 1000 + n, n}};
        assert_int_equal(prompt_chain_add(&c, &cap, point), 0);
    }
    c.bytes = messages * 10ULL;
    return c;
}

static struct conversation *note(struct conversations *c, uint64_t conversation, unsigned messages,
                                 uint64_t tokens)
{
    struct prompt_chain chain = prompt(conversation, 1, messages);
    return conversations_note(c, &chain, tokens, tokens ? tokens + 8 : 0);
}

static void a_turn_continues_its_conversation(void **state)
{
    struct conversations c;
    (void)state;
    conversations_init(&c);
    note(&c, 1, 2, 100)->saved = 107;
    note(&c, 2, 2, 100);
    assert_int_equal(c.n, 2);
    struct conversation *one = note(&c, 1, 4, 200);
    assert_int_equal(c.n, 2);
    assert_int_equal(one->saved, 107);
    assert_int_equal(conversations_rank(&c, one), 0);
    /* Asked the same again, and from an earlier message on. */
    assert_int_equal(note(&c, 1, 4, 200)->saved, 107);
    assert_int_equal(note(&c, 1, 3, 90)->saved, 98);
    assert_int_equal(c.n, 2);
    conversations_clear(&c);
    assert_int_equal(c.n, 0);
}

static void the_most_in_common_is_found(void **state)
{
    struct conversations c;
    uint64_t common;
    (void)state;
    conversations_init(&c);
    struct prompt_chain asked = prompt(1, 1, 5);
    assert_null(conversations_find(&c, &asked, &common));
    struct conversation *other = note(&c, 2, 3, 100);
    assert_ptr_equal(conversations_find(&c, &asked, &common), other); /* the first message */
    assert_int_equal(common, 10);
    struct conversation *one = note(&c, 1, 4, 300);
    note(&c, 3, 2, 100);
    assert_ptr_equal(conversations_find(&c, &asked, &common), one);
    assert_int_equal(common, 40);
    assert_int_equal(conversations_rank(&c, other), 2);
    assert_int_equal(conversations_tokens_before(&c, other), 108 + 308);
    assert_ptr_equal(conversations_get(&c, one->number), one);
    assert_null(conversations_get(&c, 77));
    prompt_chain_finish(&asked);
    conversations_clear(&c);
}

static void the_oldest_is_forgotten(void **state)
{
    struct conversations c;
    (void)state;
    conversations_init(&c);
    uint64_t first = note(&c, 1, 2, 100)->number;
    for (uint64_t n = 2; n <= CONVERSATIONS_MAX; n++)
        note(&c, n, 2, 100);
    assert_non_null(conversations_get(&c, first));
    note(&c, 1000, 2, 100);
    assert_int_equal(c.n, CONVERSATIONS_MAX);
    assert_null(conversations_get(&c, first));
    conversations_clear(&c);
}

static void slots_are_known_by_their_tokens(void **state)
{
    struct conversations c;
    (void)state;
    conversations_init(&c);
    struct conversation *a = note(&c, 1, 2, 100), *b = note(&c, 2, 2, 100),
                        *d = note(&c, 3, 2, 500);
    struct engine_slot slot[] = {
        {.id = 0, .task = 5, .tokens = 107},  {.id = 1, .task = 9, .tokens = 503},
        {.id = 2, .task = 7, .tokens = 0},    {.id = 3, .task = 8, .tokens = 107, .busy = true},
        {.id = 4, .task = 11, .tokens = 900},
    };
    (void)a;
    assert_ptr_equal(conversations_of_slot(&c, &slot[0], slot, 5), b); /* the later of two */
    assert_ptr_equal(conversations_of_slot(&c, &slot[1], slot, 5), d); /* its answer ended early */
    assert_null(conversations_of_slot(&c, &slot[2], slot, 5));
    assert_null(conversations_of_slot(&c, &slot[3], slot, 5));
    assert_null(conversations_of_slot(&c, &slot[4], slot, 5));
    /* An answer that does not say its tokens is in the slot that was used last. */
    struct conversation *e = note(&c, 4, 2, 0);
    assert_ptr_equal(conversations_of_slot(&c, &slot[4], slot, 5), e);
    assert_null(conversations_of_slot(&c, &slot[2], slot, 5));
    conversations_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_continues_its_conversation),
        cmocka_unit_test(the_most_in_common_is_found),
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(slots_are_known_by_their_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
