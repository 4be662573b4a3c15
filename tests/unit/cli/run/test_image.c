/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/image.h"

static char folder[] = "/tmp/test_run_image.XXXXXX";

static int setup(void **state)
{
    (void)state;
    return !mkdtemp(folder) || chdir(folder) || setenv("HOME", folder, 1);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"a.png",     "b c.JPG",   "~.gif",     "pipe.png",
                                        "large.png", "notes.txt", "folder.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(names[i]);
    return chdir("/") || rmdir(folder);
}

static void write_file(const char *name, const char *data, size_t len)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static void base64_as_in_the_rfc(void **state)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff\xfe", "+//+"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = run_image_base64((const unsigned char *)cases[i][0], strlen(cases[i][0]));
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

#define TYPE(bytes) run_image_type((const unsigned char *)(bytes), sizeof(bytes) - 1)

static void types_by_their_first_bytes(void **state)
{
    (void)state;
    assert_string_equal(TYPE("\x89PNG\r\n\x1a\n..."), "image/png");
    assert_string_equal(TYPE("\xff\xd8\xff\xe0"), "image/jpeg");
    assert_string_equal(TYPE("GIF89a"), "image/gif");
    assert_string_equal(TYPE("BM...."), "image/bmp");
    assert_string_equal(TYPE("RIFF1234WEBP"), "image/webp");
    assert_null(TYPE("RIFF1234WAVE"));
    assert_null(TYPE("\x89PN"));
    assert_null(TYPE(""));
}

static void are(const char *text, const struct strv *names, const char *const *wanted)
{
    size_t n = 0;
    for (; wanted[n]; n++) {
        assert_true(n < names->n);
        assert_string_equal(names->v[n], wanted[n]);
    }
    if (names->n != n)
        fail_msg("%s: %s", text, names->v[n]);
}

static void names_are_found_in_a_text(void **state)
{
    static const struct {
        const char *text, *found[3], *missing[3];
    } cases[] = {
        {"what is in a.png?", {"a.png"}, {NULL}},
        {"a.png a.png, (a.png)!",
         {"a.png"},
         {NULL}}, /* the bracket before it makes it another name */
        {"b c.JPG", {"b c.JPG"}, {NULL}},
        {"see b c.JPG", {NULL}, {"c.JPG"}},
        {"compare ./a.png\twith 'b c.JPG'.", {"./a.png", "b c.JPG"}, {NULL}},
        {"\"b c.JPG\" b\\ c.JPG", {"b c.JPG"}, {NULL}},
        {"see ~/a.png", {"~/a.png"}, {NULL}},
        {"none.png, a.png or ./folder.png?", {"a.png"}, {"none.png", "./folder.png"}},
        {"`a.png`, notes.txt, *.png, .png, a/.png, [x](y.png) or x=y.png", {NULL}, {NULL}},
        {"'a.png", {NULL}, {NULL}},
        {" \n", {NULL}, {NULL}},
        {"", {NULL}, {NULL}},
        {"\\", {NULL}, {NULL}},
    };
    (void)state;
    write_file("a.png", "x", 1);
    write_file("b c.JPG", "x", 1);
    write_file("notes.txt", "x", 1);
    mkdir("folder.png", 0700);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strv paths = {0}, missing = {0};
        run_image_find(cases[i].text, &paths, &missing);
        are(cases[i].text, &paths, cases[i].found);
        are(cases[i].text, &missing, cases[i].missing);
        strv_finish(&paths);
        strv_finish(&missing);
    }
}

static void a_file_becomes_a_url(void **state)
{
    char *url;
    struct error err;
    (void)state;
    write_file("~.gif", "GIF89a", 6);
    assert_int_equal(run_image_read("~.gif", &url, &err), 0);
    assert_string_equal(url, "data:image/gif;base64,R0lGODlh");
    free(url);
}

static void refuses(const char *path, const char *why)
{
    char *url;
    struct error err;
    assert_true(run_image_read(path, &url, &err) < 0);
    if (!strstr(err.text, why) || !strstr(err.text, path))
        fail_msg("%s", err.text);
}

static void what_is_no_image_is_told(void **state)
{
    (void)state;
    write_file("notes.txt", "hello", 5);
    write_file("large.png", "", 0);
    assert_int_equal(truncate("large.png", (off_t)RUN_IMAGE_MAX + 1), 0);
    mkfifo("pipe.png", 0600);
    mkdir("folder.png", 0700);
    refuses("notes.txt", "is no image");
    refuses("large.png", "larger than 20 MiB");
    refuses("pipe.png", "is no file");
    refuses("folder.png", "is no file");
    refuses("none.png", "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_as_in_the_rfc),      cmocka_unit_test(types_by_their_first_bytes),
        cmocka_unit_test(names_are_found_in_a_text), cmocka_unit_test(a_file_becomes_a_url),
        cmocka_unit_test(what_is_no_image_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
