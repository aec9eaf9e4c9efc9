/* SPDX-License-Identifier: Apache-2.0 */
/* test_files.c - folders, the files in them, and what a process without descriptors can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/platform/files.h"
#include "daemon/platform/result.h"

struct world {
    char path[64];
    struct folder *folder;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->path, "/tmp/test_files.XXXXXX");
    if (!mkdtemp(w->path) || folder_open(w->path, &w->folder) != 0)
        return -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        folder_remove(w->folder, names[i]);
    folder_close(w->folder);
    int failed = rmdir(w->path);
    free(w);
    return failed;
}

static void put(struct world *w, const char *name, enum file_use use, uint64_t at, const char *text)
{
    struct file *file;
    assert_int_equal(file_open(w->folder, name, use, &file), 0);
    assert_int_equal(file_write(file, at, text, strlen(text)), 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(file_close(file), 0);
}

static void expect(struct world *w, const char *name, const char *wanted)
{
    char *text;
    size_t size;
    assert_int_equal(folder_read(w->folder, name, 100, &text, &size, NULL), 0);
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(text, wanted);
    free(text);
}

static void test_uses_of_a_file(void **state)
{
    struct world *w = *state;
    struct file *file;
    put(w, "a", FILE_UPDATE, 0, "one two");
    put(w, "a", FILE_UPDATE, 4, "six");
    expect(w, "a", "one six");
    assert_int_equal(file_open(w->folder, "a", FILE_UPDATE, &file), 0);
    assert_int_equal(file_cut(file, 3), 0);
    assert_int_equal(file_close(file), 0);
    expect(w, "a", "one");
    put(w, "a", FILE_REPLACE, 0, "x");
    expect(w, "a", "x");
}

static void test_a_file_is_the_users_alone(void **state)
{
    struct world *w = *state;
    char path[80];
    struct stat info;
    mode_t before = umask(0);
    put(w, "a", FILE_REPLACE, 0, "secret");
    put(w, "b", FILE_UPDATE, 0, "secret");
    umask(before);
    for (const char *name = "ab"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c", w->path, *name);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
}

static void test_names(void **state)
{
    struct world *w = *state;
    put(w, "a", FILE_REPLACE, 0, "first");
    assert_int_equal(folder_link(w->folder, "a", "b"), 0);
    assert_int_not_equal(folder_link(w->folder, "a", "b"), 0);
    put(w, "c", FILE_REPLACE, 0, "second");
    assert_int_equal(folder_rename(w->folder, "c", "a"), 0);
    assert_int_equal(folder_sync(w->folder), 0);
    expect(w, "a", "second");
    expect(w, "b", "first");
    assert_false(folder_has(w->folder, "c"));
    assert_int_equal(folder_remove(w->folder, "b"), 0);
    assert_int_equal(io_of(folder_remove(w->folder, "b")), IO_NOT_FOUND);
}

static void test_what_cannot_be_read(void **state)
{
    struct world *w = *state;
    char *text;
    size_t size;
    struct udptun_error err;
    assert_int_equal(folder_read(w->folder, "a", 9, &text, &size, &err), UDPTUN_E_NOT_FOUND);
    assert_string_equal(err.message, "a: no such file or directory");
    put(w, "a", FILE_REPLACE, 0, "0123456789");
    assert_int_equal(folder_read(w->folder, "a", 9, &text, &size, &err), UDPTUN_E_LIMIT);
    assert_int_equal(read_file(w->path, 9, &text, &size, &err), UDPTUN_E_SYSTEM);
}

static void test_a_folder_has_one_user(void **state)
{
    struct world *w = *state;
    struct folder *second;
    assert_int_equal(io_of(folder_open(w->path, &second)), IO_IN_USE);
    assert_null(second);
    folder_close(w->folder);
    assert_int_equal(folder_open(w->path, &w->folder), 0);
}

/* The state can be written when a peer has taken every descriptor, and again after that. */
static void test_a_file_opens_without_descriptors(void **state)
{
    struct world *w = *state;
    struct rlimit before, none;
    struct file *file, *second;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 2; i++) {
        int failure = file_open(w->folder, "a", FILE_REPLACE, &file);
        int none_left = file_open(w->folder, "b", FILE_REPLACE, &second);
        if (failure == 0)
            assert_int_equal(file_close(file), 0);
        if (failure || none_left == 0)
            setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(failure, 0);
        assert_int_equal(io_of(none_left), IO_FULL);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_error_names(void **state)
{
    (void)state;
    int refused = io_error(IO_REFUSED);
    assert_string_equal(io_name(refused), "ECONNREFUSED");
    assert_int_equal(io_by_name("ECONNREFUSED"), refused);
    assert_string_equal(io_name(io_error(IO_UNSUPPORTED)), "EOPNOTSUPP");
    assert_string_equal(io_name(io_error(IO_AGAIN)), "EAGAIN");
    assert_null(io_name(0));
    assert_null(io_name(-1));
    assert_int_equal(io_by_name("E"), 0);
    assert_int_equal(io_by_name(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uses_of_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_is_the_users_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_has_one_user, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_opens_without_descriptors, setup, teardown),
        cmocka_unit_test(test_error_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
