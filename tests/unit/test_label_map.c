/* label_map.pbtxt: valid maps, and every rule with its message. */
#include "formats/label_map.h"
#include "support/test.h"

static det_status parse(struct det_env *env, const char *text, struct det_label_map *map)
{
    return det_label_map_parse(env, "map", text, strlen(text), map);
}

static void reads_any_order(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_label_map map;
    assert_ok(&t.env, parse(&t.env,
                            "item: { name: 'dog' id: 2 keypoints { id: 1 label: 'nose' } }\n"
                            "item { id: 1, name: \"cat\", display_name: 'Cat' frequency: RARE "
                            "ancestor_ids: [1, 2] }\n",
                            &map));
    assert_int_equal(map.count, 2);
    assert_string_equal(map.names[0], "cat");
    assert_string_equal(map.display_names[0], "Cat");
    assert_string_equal(map.display_names[1], "dog");
    assert_int_equal(det_label_map_index(&map, "dog", false), 1);
    assert_int_equal(det_label_map_index(&map, "Cat", false), -1);
    assert_int_equal(det_label_map_index(&map, "Cat", true), 0);
    struct det_pipeline_config config;
    char path[256];
    assert_ok(&t.env, det_pipeline_config_read(
                          &t.env, test_golden(path, "configs/raccoon_320.config"), &config));
    assert_fails(&t.env, DET_STATUS_MISMATCH,
                 "map has 2 classes but tests/golden/configs/raccoon_320.config:3 num_classes is 1",
                 det_label_map_check(&t.env, &map, &config));
    det_label_map_free(&t.env, &map);
    det_label_map_free(&t.env, &map);
    assert_ok(&t.env, parse(&t.env, "item{id:1 name:'a'}", &map));
    assert_ok(&t.env, det_label_map_check(&t.env, &map, &config));
    det_label_map_free(&t.env, &map);
    det_pipeline_config_free(&t.env, &config);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "build/no.pbtxt",
                 det_label_map_read(&t.env, "build/no.pbtxt", &map));
    test_env_check(&t);
}

static void refuses_with_position(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "map: no item, expected at least one class"},
        {"item {\n id: 0\n name: 'a' }", "map:2:2: id 0: ids start at 1, 0 is the background"},
        {"item { id: -3 name: 'a' }", "map:1:8: id -3: ids start at 1"},
        {"item { id: 1 name: 'a' }\nitem { id: 1 name: 'b' }",
         "map:2:8: id 1 is already that of \"a\" in line 1"},
        {"item { id: 1 name: 'a' }\nitem { id: 2 name: 'a' }",
         "map:2:14: name \"a\" is already that of id 1 in line 1"},
        {"item { id: 1 name: 'a' }\nitem { id: 4 name: 'b' }",
         "map:2:8: id 4, but there are 2 items and id 2 is missing: ids must be 1 to 2 without a "
         "gap"},
        {"item { id: 1\n id: 2 id: 3 name: 'a' }",
         "map:2:2: field `id` is set a second time, first in line 1"},
        {"item { id: 1 }", "map:1:1: item has no name"},
        {"item { id: 1 name: '' }", "map:1:14: item has no name"},
        {"item { name: 'a' }", "map:1:1: item has no id, expected one from 1 to 1"},
        {"item { id: 1 nane: 'a' }",
         "map:1:14: unknown field `nane` in StringIntLabelMapItem; did you mean `name`?"},
        {"items { }", "map:1:1: unknown field `items` in StringIntLabelMap; did you mean `item`?"},
        {"item { id: 'x' }", "map:1:12: field `id`: found \"x\", expected a whole number"},
        {"item { id: 1 name: a }",
         "map:1:20: field `name`: found `a`, expected a string in quotes"},
    };
    struct test_env t;
    test_env_init(&t);
    struct det_label_map map;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(&t.env, DET_STATUS_PARSE, cases[i].message,
                     parse(&t.env, cases[i].text, &map));
        assert_int_equal(map.count, 0);
        assert_null(map.names);
    }
    test_env_check(&t);
}

static det_status parse_two(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_label_map map;
    const det_status status =
        parse(env, "item { id: 2 name: 'a' } item { id: 1 name: 'b' display_name: 'c' }", &map);
    det_label_map_free(env, &map);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(parse_two, NULL);
}

int test_label_map(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_any_order),
        cmocka_unit_test(refuses_with_position),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("label_map", tests, NULL, NULL);
}
