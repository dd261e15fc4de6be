#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"

#include <stdlib.h>

#define MANY 2000

static void assert_is_heap(const struct heap *heap)
{
    assert_true(heap->count <= heap->capacity);
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->entries[i]->place, i + 1);
        if (i > 0)
            assert_true(heap->entries[(i - 1) / 2]->at <= heap->entries[i]->at);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct heap heap = {NULL, 0, 0};
    struct heap_entry entry = {5, 0};
    assert_null(heap_first(&heap));
    assert_int_equal(heap_wait(&heap, 0, 1000), 1000);
    heap_remove(&heap, &entry); /* it is in no heap */
    heap_insert(&heap, &entry);
    assert_ptr_equal(heap_first(&heap), &entry);
    heap_remove(&heap, &entry);
    assert_null(heap_first(&heap));
    heap_fini(&heap);
}

static void test_wait(void **state)
{
    (void)state;
    struct heap heap = {NULL, 0, 0};
    struct heap_entry entry = {INT64_C(1) << 40, 0};
    heap_insert(&heap, &entry);
    assert_int_equal(heap_wait(&heap, 0, 1000), 1000);
    assert_int_equal(heap_wait(&heap, entry.at - 1000, 1000), 1000);
    assert_int_equal(heap_wait(&heap, entry.at - 7, 1000), 7);
    assert_int_equal(heap_wait(&heap, entry.at, 1000), 0);
    assert_int_equal(heap_wait(&heap, entry.at + 5000, 1000), 0);
    heap_fini(&heap);
    assert_int_equal(entry.place, 0);
}

/* Each order of insertion comes out sorted, and any entry may be taken out meanwhile. */
static void test_random(void **state)
{
    (void)state;
    static struct heap_entry entries[MANY];
    struct heap heap = {NULL, 0, 0};
    unsigned seed = 1;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < MANY; i++) {
            entries[i] = (struct heap_entry){rand_r(&seed) % (round < 10 ? 50 : 1000000), 0};
            heap_insert(&heap, &entries[i]);
        }
        assert_is_heap(&heap);
        size_t left = MANY;
        for (size_t i = 0; i < MANY / 2; i++) {
            struct heap_entry *entry = &entries[(size_t)rand_r(&seed) % MANY];
            left -= entry->place != 0;
            heap_remove(&heap, entry);
            assert_int_equal(entry->place, 0);
            assert_int_equal(heap.count, left);
        }
        assert_is_heap(&heap);
        for (int64_t last = 0; heap_first(&heap) != NULL; left--) {
            struct heap_entry *first = heap_first(&heap);
            assert_true(first->at >= last);
            last = first->at;
            heap_remove(&heap, first);
        }
        assert_int_equal(left, 0);
    }
    assert_true(heap.capacity < MANY); /* memory of a flood is given back */
    heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
