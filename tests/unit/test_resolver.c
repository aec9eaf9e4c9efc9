/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_resolver.c - the resolver against a name server and a hosts file of the test's own.
 */
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/loop.h"
#include "tests/unit/dns_server.h"
#include "tests/unit/own_net.h"

#define GUARD_S 30.0 /* against hanging */

static const struct dns_record records[] = {
    {"four.test", "192.0.2.1", 60},   {"six.test", "2001:db8::1", 60},
    {"both.test", "192.0.2.1", 60},   {"both.test", "192.0.2.2", 60},
    {"both.test", "2001:db8::1", 60}, {"both.test", "2001:db8::2", 60},
    {"both.test", "2001:db8::3", 60}, {"brief.test", "192.0.2.9", 0},
    {"self.test", "127.0.0.1", 60},   {"here.test", "127.0.0.1", 60},
    {"here.test", "::1", 60},         {"split.test", "192.0.2.1", 60},
    {"split.test", "::1", 60},        {NULL, NULL, 0},
};

static struct ev_loop *loop;
static struct loop side; /* of what is tested, on that loop */
static struct dns_server dns;
static struct hosts *hosts;
static struct resolver *resolver;

struct answer {
    unsigned calls;
    size_t count;
    struct udptun_endpoint eps[RESOLVER_MAX_ADDRESSES];
    char failure[64];
    unsigned *left; /* answers awaited */
    const char *ask_next;
    struct answer *next;
};

static void on_answer(void *arg, const struct udptun_endpoint *eps, size_t count,
                      const char *failure)
{
    struct answer *a = (struct answer *)arg;
    a->calls++;
    a->count = count;
    for (size_t i = 0; i < count; i++)
        a->eps[i] = eps[i];
    snprintf(a->failure, sizeof a->failure, "%s", failure ? failure : "");
    if (a->ask_next)
        assert_non_null(
            resolver_lookup(resolver, a->ask_next, strlen(a->ask_next), 7, on_answer, a->next));
    if (a->left && --*a->left == 0)
        ev_break(loop, EVBREAK_ALL);
}

static void on_guard(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)events;
    *(bool *)timer->data = true;
    ev_break(l, EVBREAK_ALL);
}

/* Runs the loop until it is broken out of. */
static void run_loop(void)
{
    bool hung = false;
    ev_timer guard;
    ev_timer_init(&guard, on_guard, GUARD_S, 0.0);
    guard.data = &hung;
    ev_now_update(loop);
    ev_timer_start(loop, &guard);
    ev_run(loop, 0);
    ev_timer_stop(loop, &guard);
    if (hung)
        fail_msg("no answer");
}

static struct answer ask(const char *name)
{
    unsigned left = 1;
    struct answer a = {.left = &left};
    assert_non_null(resolver_lookup(resolver, name, strlen(name), 53, on_answer, &a));
    assert_int_equal(a.calls, 0);
    run_loop();
    assert_int_equal(a.calls, 1);
    return a;
}

static void assert_answer(const struct answer *a, size_t count, const char *const *texts)
{
    assert_string_equal(a->failure, "");
    assert_int_equal(a->count, count);
    for (size_t i = 0; i < count; i++) {
        char text[ENDPOINT_TEXT_SIZE];
        assert_string_equal(endpoint_format(&a->eps[i], text), texts[i]);
    }
}

#define ASSERT_ANSWER(a, ...)                                                                      \
    assert_answer(&(a), sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                    \
                  (const char *[]){__VA_ARGS__})

static int setup(void **state)
{
    struct socket_rules rules = socket_rules_none();
    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    if (!loop || loop_init_ev(&side, loop, NULL, NULL) != UDPTUN_OK)
        return -1;
    hosts = hosts_new();
    resolver = resolver_new(&side, &rules, hosts);
    return resolver && dns_server_start(&dns, loop, records) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    resolver_free(resolver);
    hosts_free(hosts);
    dns_server_stop(&dns);
    loop_fini(&side);
    ev_loop_destroy(loop);
    return 0;
}

static void names_of_one_family(void **state)
{
    (void)state;
    struct answer a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.1:53");
    a = ask("six.test");
    ASSERT_ANSWER(a, "[2001:db8::1]:53");
}

static void families_take_turns(void **state)
{
    (void)state;
    struct answer a = ask("both.test");
    assert_int_equal(a.count, 5);
    size_t of_six = 0;
    for (size_t i = 0; i < 5; i++) {
        of_six += a.eps[i].family == UDPTUN_ENDPOINT_IP6;
        assert_int_equal(a.eps[i].port, 53);
        for (size_t j = 0; j < i; j++)
            assert_false(endpoint_equal(&a.eps[i], &a.eps[j]));
    }
    assert_int_equal(of_six, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(a.eps[i].family != a.eps[i + 1].family);
}

static void hosts_file_is_honoured_without_a_question(void **state)
{
    (void)state;
    struct answer a = ask("inhosts.test");
    ASSERT_ANSWER(a, "192.0.2.77:53");
    assert_int_equal(dns.questions, 0);
}

static void addresses_and_localhost_need_no_question(void **state)
{
    (void)state;
    struct answer a = ask("2001:db8::9");
    ASSERT_ANSWER(a, "[2001:db8::9]:53");
    a = ask("192.0.2.5");
    ASSERT_ANSWER(a, "192.0.2.5:53");
    a = ask("LOCALHOST");
    ASSERT_ANSWER(a, "127.0.0.1:53");
    assert_int_equal(dns.questions, 0);
}

static void unknown_name_fails_with_a_clause(void **state)
{
    (void)state;
    struct answer a = ask("nowhere.test");
    assert_int_equal(a.count, 0);
    assert_string_equal(a.failure, "no such host");
}

static void what_is_no_name_is_never_asked(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", ".", "a b", "a\nb", "a/b", "\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct answer a = ask(wrong[i]);
        assert_string_equal(a.failure, "no such host");
    }
    unsigned left = 1;
    struct answer a = {.left = &left};
    assert_non_null(resolver_lookup(resolver, "a\0b", 3, 53, on_answer, &a));
    run_loop();
    assert_string_equal(a.failure, "no such host");
    assert_int_equal(dns.questions, 0);
}

static void one_question_serves_all_who_ask(void **state)
{
    (void)state;
    struct answer answers[20] = {{0}};
    unsigned left = 20;
    for (size_t i = 0; i < 20; i++) {
        answers[i].left = &left;
        const char *name = i % 2 ? "four.test" : "FOUR.test.";
        assert_non_null(
            resolver_lookup(resolver, name, strlen(name), (uint16_t)i, on_answer, &answers[i]));
    }
    run_loop();
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(answers[i].count, 1);
        assert_int_equal(answers[i].eps[0].port, i);
    }
    assert_int_equal(dns.questions, 2); /* A and AAAA */
}

static void cache_answers_until_it_is_flushed(void **state)
{
    (void)state;
    struct udptun_endpoint eps[4];
    size_t count = 9;
    assert_false(resolver_cached(resolver, "both.test", 9, 5, eps, 4, &count));
    ask("both.test");
    unsigned questions = dns.questions;
    assert_true(resolver_cached(resolver, "Both.TEST", 9, 5, eps, 4, &count));
    assert_int_equal(count, 4);
    assert_int_equal(eps[3].port, 5);
    assert_true(resolver_cached(resolver, "both.test", 9, 5, eps, 1, &count));
    assert_int_equal(count, 1);
    ask("both.test");
    assert_int_equal(dns.questions, questions);
    resolver_flush(resolver);
    ask("both.test");
    assert_int_equal(dns.questions, 2 * questions);
}

static void absence_is_cached_too(void **state)
{
    (void)state;
    struct udptun_endpoint eps[4];
    size_t count = 9;
    ask("nowhere.test");
    assert_true(resolver_cached(resolver, "nowhere.test", 12, 5, eps, 4, &count));
    assert_int_equal(count, 0);
    assert_true(resolver_cached(resolver, "no name", 7, 5, eps, 4, &count));
    assert_int_equal(count, 0);
}

static void no_ttl_is_cached_for_moments(void **state)
{
    (void)state;
    struct udptun_endpoint eps[4];
    size_t count;
    ask("brief.test");
    assert_true(resolver_cached(resolver, "brief.test", 10, 5, eps, 4, &count));
    assert_int_equal(count, 1);
}

static void cancelled_lookup_is_not_called(void **state)
{
    (void)state;
    unsigned left = 1;
    struct answer kept = {.left = &left}, gone = {0};
    struct resolver_lookup *first = resolver_lookup(resolver, "four.test", 9, 1, on_answer, &gone);
    assert_non_null(resolver_lookup(resolver, "four.test", 9, 2, on_answer, &kept));
    struct resolver_lookup *ready = resolver_lookup(resolver, "192.0.2.3", 9, 3, on_answer, &gone);
    resolver_cancel(first);
    resolver_cancel(ready);
    run_loop();
    assert_int_equal(kept.count, 1);
    assert_int_equal(gone.calls, 0);
}

static void callback_may_ask_again(void **state)
{
    (void)state;
    unsigned left = 1;
    struct answer second = {.left = &left}, first = {.ask_next = "four.test", .next = &second};
    assert_non_null(resolver_lookup(resolver, "four.test", 9, 1, on_answer, &first));
    run_loop();
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.eps[0].port, 7);
}

static void stop_loop(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(l, EVBREAK_ALL);
}

/* Long enough for a question to go out. */
static void run_for(double seconds)
{
    ev_timer timer;
    ev_timer_init(&timer, stop_loop, seconds, 0.0);
    ev_now_update(loop);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
}

static void flush_asks_open_questions_again(void **state)
{
    (void)state;
    unsigned left = 1;
    struct answer a = {.left = &left};
    dns.silent = true;
    assert_non_null(resolver_lookup(resolver, "four.test", 9, 1, on_answer, &a));
    run_for(0.05);
    assert_int_equal(a.calls, 0);
    assert_true(dns.questions > 0);
    dns.silent = false;
    resolver_flush(resolver);
    run_loop();
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.count, 1);
}

static void open_questions_are_bounded(void **state)
{
    (void)state;
    struct resolver_lookup *lookups[400] = {0};
    struct answer a = {0};
    size_t asked = 0;
    dns.silent = true;
    for (; asked < 400; asked++) {
        char name[32];
        snprintf(name, sizeof name, "n%zu.test", asked);
        lookups[asked] = resolver_lookup(resolver, name, strlen(name), 1, on_answer, &a);
        if (!lookups[asked])
            break;
    }
    assert_int_equal(asked, 256);
    /* Who asks for the same is served all the same. */
    struct resolver_lookup *same = resolver_lookup(resolver, "n0.test", 7, 1, on_answer, &a);
    assert_non_null(same);
    resolver_cancel(same);
    for (size_t i = 0; i < asked; i++)
        resolver_cancel(lookups[i]);
    run_for(0.01);
    assert_int_equal(a.calls, 0);
}

static void cache_is_bounded(void **state)
{
    (void)state;
    struct udptun_endpoint eps[1];
    size_t count;
    for (unsigned i = 0; i < 1100; i++) {
        char name[32];
        snprintf(name, sizeof name, "10.1.%u.%u", i / 250, i % 250);
        ask(name);
    }
    assert_false(resolver_cached(resolver, "10.1.0.0", 8, 1, eps, 1, &count));
    assert_true(resolver_cached(resolver, "10.1.4.99", 9, 1, eps, 1, &count));
}

static int refuse_all(void *arg, int fd)
{
    (void)fd;
    ++*(unsigned *)arg;
    return -1;
}

static int allow_all(void *arg, int fd)
{
    (void)fd;
    ++*(unsigned *)arg;
    return 0;
}

static void sockets_meet_the_protect_hook(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct socket_rules rules = socket_rules_none();
    rules.protect = allow_all;
    rules.protect_arg = &calls;
    resolver_free(resolver);
    resolver = resolver_new(&side, &rules, hosts);
    struct answer a = ask("four.test");
    assert_int_equal(a.count, 1);
    assert_true(calls > 0);
    rules.protect = refuse_all;
    resolver_free(resolver);
    resolver = resolver_new(&side, &rules, hosts);
    unsigned questions = dns.questions;
    a = ask("six.test");
    assert_int_equal(a.count, 0);
    assert_true(a.failure[0] != '\0');
    assert_int_equal(dns.questions, questions);
}

static void unreachable_name_server_fails_with_a_clause(void **state)
{
    (void)state;
    dns_server_stop(&dns);
    struct answer a = ask("four.test");
    assert_true(dns_server_start(&dns, loop, records));
    assert_int_equal(a.count, 0);
    /* A refused port is told by an ICMP error, which need not come. */
    if (strcmp(a.failure, "no name server could be reached") != 0)
        assert_string_equal(a.failure, "name server did not answer");
}

static void resolver_can_be_freed_with_questions_open(void **state)
{
    (void)state;
    struct answer a = {0};
    dns.silent = true;
    resolver_cancel(resolver_lookup(resolver, "four.test", 9, 1, on_answer, &a));
    run_for(0.01);
    assert_int_equal(a.calls, 0);
}

/* ---- name servers as they are ---- */

static void names_without_an_answer_for_ip6(void **state)
{
    (void)state;
    dns.silent_about_ip6 = true;
    struct answer a = ask("self.test");
    ASSERT_ANSWER(a, "127.0.0.1:53");
    a = ask("self.test");
    ASSERT_ANSWER(a, "127.0.0.1:53");
    assert_int_equal(dns.questions, 2); /* the open question for AAAA holds nobody up */
}

static void late_family_completes_the_answer(void **state)
{
    (void)state;
    dns.silent_about_ip6 = true;
    struct answer a = ask("here.test");
    ASSERT_ANSWER(a, "127.0.0.1:53");
    dns.silent_about_ip6 = false; /* the question is sent again */
    struct udptun_endpoint eps[8];
    size_t count = 0;
    for (int tries = 0; count < 2 && tries < 300; tries++) {
        run_for(0.1);
        assert_true(resolver_cached(resolver, "here.test", 9, 5, eps, 8, &count));
    }
    assert_int_equal(count, 2);
    assert_int_equal(eps[0].family, UDPTUN_ENDPOINT_IP6); /* RFC 6724: a higher precedence */
}

/* This host has no route to the address that comes first. */
static void unreachable_family_waits_for_the_other(void **state)
{
    (void)state;
    dns.silent_about_ip6 = true;
    unsigned left = 1;
    struct answer a = {.left = &left};
    assert_non_null(resolver_lookup(resolver, "split.test", 10, 53, on_answer, &a));
    run_for(0.2);
    assert_int_equal(a.calls, 0);
    dns.silent_about_ip6 = false;
    run_loop();
    ASSERT_ANSWER(a, "[::1]:53", "192.0.2.1:53");
}

static void second_name_server_answers_for_a_dead_one(void **state)
{
    (void)state;
    struct dns_server dead;
    assert_true(dns_server_start_at(&dead, loop, records, 2));
    dead.silent = true;
    assert_true(own_net_file("/etc/resolv.conf", "nameserver 127.0.0.2\nnameserver 127.0.0.1\n"));
    struct answer a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.1:53");
    assert_true(dead.questions > 0);
    dead.silent = false;
    dead.fails = true;
    a = ask("six.test");
    ASSERT_ANSWER(a, "[2001:db8::1]:53");
    dns_server_stop(&dead);
    assert_true(own_net_file("/etc/resolv.conf", "nameserver 127.0.0.1\n"));
}

static void new_name_servers_are_asked_without_a_flush(void **state)
{
    (void)state;
    struct dns_server second;
    unsigned left = 1;
    struct answer waiting = {.left = &left};
    assert_true(dns_server_start_at(&second, loop, records, 2));
    dns.silent = true;
    assert_non_null(resolver_lookup(resolver, "four.test", 9, 1, on_answer, &waiting));
    run_for(0.05);
    assert_true(own_net_file("/etc/resolv.conf", "nameserver 127.0.0.2\n"));
    unsigned questions = dns.questions;
    left = 2;
    struct answer a = {.left = &left};
    assert_non_null(resolver_lookup(resolver, "six.test", 8, 1, on_answer, &a));
    run_loop();
    ASSERT_ANSWER(a, "[2001:db8::1]:1");
    ASSERT_ANSWER(waiting, "192.0.2.1:1"); /* asked again */
    assert_int_equal(dns.questions, questions);
    dns_server_stop(&second);
    assert_true(own_net_file("/etc/resolv.conf", "nameserver 127.0.0.1\n"));
}

/* ---- RFC 8767 ---- */

static void last_good_address_outlives_dead_name_servers(void **state)
{
    (void)state;
    struct udptun_endpoint eps[4];
    size_t count = 0;
    ask("four.test");
    resolver_flush(resolver); /* its time is over */
    dns.silent = true;
    unsigned questions = dns.questions;
    assert_true(resolver_cached(resolver, "four.test", 9, 5, eps, 4, &count));
    assert_int_equal(count, 1);
    run_for(0.05);
    assert_true(dns.questions > questions); /* while it is asked again */
    struct answer a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.1:53");
    dns.silent = false;
    dns.fails = true;
    resolver_flush(resolver);
    a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.1:53");
}

static const struct dns_record moved[] = {{"four.test", "192.0.2.200", 60}, {NULL, NULL, 0}};
static const struct dns_record nothing[] = {{NULL, NULL, 0}};

static void new_address_takes_the_place_of_the_last_one(void **state)
{
    (void)state;
    ask("four.test");
    resolver_flush(resolver);
    dns.records = moved;
    struct answer a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.200:53");
    resolver_flush(resolver);
    dns.records = nothing;
    a = ask("four.test");
    assert_string_equal(a.failure, "no such host");
}

static void heir_knows_the_last_addresses(void **state)
{
    (void)state;
    struct socket_rules rules = socket_rules_none();
    ask("four.test");
    ask("nowhere.test");
    struct resolver *old = resolver;
    resolver = resolver_new(&side, &rules, hosts);
    assert_non_null(resolver);
    resolver_inherit(resolver, old);
    resolver_free(old);
    dns.silent = true;
    struct answer a = ask("four.test");
    ASSERT_ANSWER(a, "192.0.2.1:53");
    struct udptun_endpoint eps[1];
    size_t count;
    assert_false(resolver_cached(resolver, "nowhere.test", 12, 5, eps, 1, &count));
}

/* ---- the hosts file ---- */

static char *many_hosts(unsigned lines)
{
    size_t room = (size_t)lines * 64 + 512, used = 0;
    char *text = (char *)malloc(room);
    assert_non_null(text);
    for (unsigned i = 0; i < lines; i++)
        used +=
            (size_t)snprintf(text + used, room - used, "0.0.0.0 ad%u.test everywhere.test\n", i);
    snprintf(text + used, room - used,
             "# 192.0.2.66 comment.test\n"
             " 192.0.2.1\tfirst.test\tSecond.Test # third.test\r\n"
             "2001:db8::7 first.test\n192.0.2.3 first.test\n192.0.2.1 first.test\n"
             "not-an-address odd.test\n192.0.2.77 inhosts.test\n192.0.2.9 last.test");
    return text;
}

static void hosts_file_is_read_as_it_is_written(void **state)
{
    (void)state;
    char *text = many_hosts(3);
    assert_true(own_net_file("/etc/hosts", text));
    free(text);
    struct udptun_endpoint eps[NAMES_MAX_ADDRESSES];
    assert_int_equal(hosts_find(hosts, "first.test", eps, 4), 4);
    assert_int_equal(hosts_find(hosts, "SECOND.test", eps, 4), 1);
    assert_int_equal(hosts_find(hosts, "last.test", eps, 4), 1);
    assert_int_equal(hosts_find(hosts, "everywhere.test", eps, NAMES_MAX_ADDRESSES), 3);
    static const char *const absent[] = {"third.test", "comment.test", "odd.test",  "ad3.test",
                                         "",           "first.tes",    "192.0.2.1", "irst.test"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(hosts_find(hosts, absent[i], eps, 4), 0);
    struct answer a = ask("first.test");
    ASSERT_ANSWER(a, "192.0.2.1:53", "[2001:db8::7]:53", "192.0.2.3:53");
    assert_int_equal(dns.questions, 0);
}

/* How many bytes of files this thread has read. */
static unsigned long long bytes_read(void)
{
    unsigned long long bytes = 0;
    FILE *f = fopen("/proc/thread-self/io", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "rchar: %llu", &bytes), 1);
    fclose(f);
    return bytes;
}

static void large_hosts_file_is_not_read_for_each_lookup(void **state)
{
    (void)state;
    struct udptun_endpoint ep;
    char *text = many_hosts(150000);
    size_t size = strlen(text);
    assert_true(own_net_file("/etc/hosts", text));
    free(text);
    unsigned long long before = bytes_read();
    while (hosts_find(hosts, "ad149999.test", &ep, 1) == 0)
        usleep(1000); /* a thread reads it */
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "ad%d.test", i);
        struct answer a = ask(name);
        ASSERT_ANSWER(a, "0.0.0.0:53");
    }
    assert_true(bytes_read() - before < size);
    assert_true(own_net_file("/etc/hosts", "192.0.2.77 inhosts.test\n192.0.2.78 new.test\n"));
    struct answer a = ask("new.test"); /* but when it has changed */
    ASSERT_ANSWER(a, "192.0.2.78:53");
}

static void reader_of_hosts_may_outlive_its_use(void **state)
{
    (void)state;
    struct udptun_endpoint ep;
    char *text = many_hosts(20000);
    assert_true(own_net_file("/etc/hosts", text));
    free(text);
    struct hosts *other = hosts_new();
    assert_int_equal(hosts_find(other, "ad19999.test", &ep, 1), 1);
    text = many_hosts(30000);
    assert_true(own_net_file("/etc/hosts", text));
    free(text);
    hosts_find(other, "ad19999.test", &ep, 1); /* starts to read */
    hosts_free(other);
    assert_true(own_net_file("/etc/hosts", "192.0.2.77 inhosts.test\n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_of_one_family),
        TEST(families_take_turns),
        TEST(hosts_file_is_honoured_without_a_question),
        TEST(addresses_and_localhost_need_no_question),
        TEST(unknown_name_fails_with_a_clause),
        TEST(what_is_no_name_is_never_asked),
        TEST(one_question_serves_all_who_ask),
        TEST(cache_answers_until_it_is_flushed),
        TEST(absence_is_cached_too),
        TEST(no_ttl_is_cached_for_moments),
        TEST(cancelled_lookup_is_not_called),
        TEST(callback_may_ask_again),
        TEST(flush_asks_open_questions_again),
        TEST(open_questions_are_bounded),
        TEST(cache_is_bounded),
        TEST(sockets_meet_the_protect_hook),
        TEST(unreachable_name_server_fails_with_a_clause),
        TEST(resolver_can_be_freed_with_questions_open),
        TEST(names_without_an_answer_for_ip6),
        TEST(late_family_completes_the_answer),
        TEST(unreachable_family_waits_for_the_other),
        TEST(second_name_server_answers_for_a_dead_one),
        TEST(new_name_servers_are_asked_without_a_flush),
        TEST(last_good_address_outlives_dead_name_servers),
        TEST(new_address_takes_the_place_of_the_last_one),
        TEST(heir_knows_the_last_addresses),
        TEST(hosts_file_is_read_as_it_is_written),
        TEST(large_hosts_file_is_not_read_for_each_lookup),
        TEST(reader_of_hosts_may_outlive_its_use),
    };
    if (!own_net_enter() || !own_net_file("/etc/hosts", "192.0.2.77 inhosts.test\n") ||
        !own_net_file("/etc/resolv.conf", "nameserver 127.0.0.1\n")) {
        printf("no namespaces here: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
