/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_udpt_memory.c - every allocation of the machine fails in turn.
 *
 * The linker hands malloc, calloc and realloc of the code under test to the wrappers here. For
 * n = 1, 2, ... the same scenario runs with the n-th allocation failing, until one run needs
 * fewer than n. After each, memory is there again and a fresh datagram has to pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/error.h"
#include "tests/unit/udpt_pair.h"

#define S_US UINT64_C(1000000)

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned long allocations, fail_at; /* fail_at 0: none */

static bool fails(void)
{
    return ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static void send_some(struct pair *p, uint64_t label, size_t size)
{
    static const uint8_t DATA[5000];
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, (uint16_t)(5000 + label));
    struct udptun_dest to = udptun_dest_of(&ep), name = udptun_dest_of_name("example.org", 11, 99);
    int code;
    struct udptun_binding *b = udptun_binding_open(p->ends[LOCAL].m, label, p->now_us, &code);
    assert_true(b ? code == UDPTUN_OK : code == UDPTUN_E_NOMEM || code == UDPTUN_E_LIMIT);
    for (int i = 0; b && i < 6; i++) {
        udptun_binding_send(b, i % 2 ? &to : &name, DATA, size, p->now_us);
        pair_run(p, 20000);
        /* The far end may have closed it for want of memory. */
        b = udptun_binding_after(udptun_session_next(p->ends[LOCAL].m, NULL), label - 1);
    }
}

static void scenario(struct pair *p)
{
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    if (!p->ends[LOCAL].m || !p->ends[SERVER].m)
        return;
    send_some(p, 1, 10); /* waits in a queue */
    pair_run(p, S_US);
    send_some(p, 2, 5000); /* cut into pieces on its way */
    send_some(p, 3, 0);
    for (size_t i = 0; i < p->link_count; i++)
        pair_cut(p, i);
    pair_run(p, S_US);
    send_some(p, 4, 10);
}

static bool run(unsigned long n)
{
    struct pair *p = (struct pair *)__real_malloc(sizeof *p);
    pair_init(p);
    p->echo = true;
    allocations = 0;
    fail_at = n;
    scenario(p);
    bool reached = allocations >= n;
    fail_at = 0;
    for (int end = 0; end < 2; end++)
        if (!p->ends[end].m)
            pair_start(p, end);
    pair_run(p, 10 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    p->received_count = 0;
    int code;
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, 7);
    struct udptun_dest to = udptun_dest_of(&ep);
    struct udptun_binding *b = udptun_binding_open(p->ends[LOCAL].m, 99, p->now_us, &code);
    assert_non_null(b);
    assert_int_equal(udptun_binding_send(b, &to, (const uint8_t *)"x", 1, p->now_us), UDPTUN_OK);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2); /* there and back */
    pair_fini(p);
    free(p);
    return reached;
}

static void the_machine_survives_each_failing_allocation(void **state)
{
    (void)state;
    unsigned long n = 1;
    while (run(n))
        n++;
    assert_true(n > 40); /* the scenario does reach the code */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machine_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
