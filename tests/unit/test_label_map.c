/* label_map.pbtxt: valid maps, and every rule with its message. */
#include "formats/label_map.h"
#include "support/test.h"

static det_status parse(struct det_env *env, const char *text, struct det_label_map *map)
{
    return det_label_map_read_text(env, "map", text, strlen(text), map);
}

static int32_t find(const struct det_label_map *map, const char *text)
{
    return det_label_map_find(map, text, strlen(text));
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
    assert_int_equal(find(&map, "dog"), 2);
    assert_int_equal(find(&map, "Cat"), 1);
    assert_int_equal(find(&map, "cat"), 1);
    assert_int_equal(find(&map, "ca"), -1);
    assert_int_equal(find(&map, "cats"), -1);
    assert_int_equal(find(&map, ""), -1);
    assert_int_equal(det_label_map_find(&map, "cat\0dog", 7), -1);
    struct det_pipeline_config config;
    char path[256];
    assert_ok(&t.env, det_pipeline_config_read(
                          &t.env, test_golden(path, "configs/raccoon_320.config"), &config));
    assert_fails(&t.env, DET_STATUS_MISMATCH,
                 "map has ids up to 2 (\"dog\"), but "
                 "tests/golden/configs/raccoon_320.config:3 num_classes is 1",
                 det_label_map_fit(&t.env, &map, &config));
    config.ssd.num_classes = 4; /* two classes without an item */
    assert_ok(&t.env, det_label_map_fit(&t.env, &map, &config));
    assert_int_equal(map.count, 4);
    assert_string_equal(map.names[1], "dog");
    assert_null(map.names[3]);
    assert_null(map.display_names[2]);
    assert_int_equal(map.item_count, 2);
    det_label_map_free(&t.env, &map);
    det_label_map_free(&t.env, &map);
    assert_ok(&t.env, parse(&t.env, "item{id:1 name:'a'}", &map));
    config.ssd.num_classes = 1;
    assert_ok(&t.env, det_label_map_fit(&t.env, &map, &config));
    det_label_map_free(&t.env, &map);
    det_pipeline_config_free(&t.env, &config);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "build/no.pbtxt",
                 det_label_map_read(&t.env, "build/no.pbtxt", &map));
    test_env_check(&t);
}

/* What label_map_util.py and the decoder of the API make of maps that are not 1..K each once: the
 * ids are those of its get_label_map_dict() for names and display names, the higher one. */
static void reads_what_the_api_reads(void **state)
{
    (void)state;
    struct test_env t;
    struct test_warnings warnings = {{0}, 0};
    test_env_init(&t);
    t.env.logger = (det_logger){.user = &warnings, .write = test_keep_warning};
    struct det_label_map map;
    /* Gaps, display names alone, the background, in any order. */
    assert_ok(&t.env, parse(&t.env,
                            "item { id: 90 display_name: 'toothbrush' }\n"
                            "item { id: 0 name: 'background' }\n"
                            "item { id: 1 name: '/m/01g317' display_name: 'person' }\n"
                            "item { id: 3 }\n",
                            &map));
    assert_int_equal(map.count, 90);
    assert_int_equal(map.item_count, 3);
    assert_string_equal(map.names[89], "toothbrush");
    assert_string_equal(map.display_names[0], "person");
    assert_string_equal(map.names[0], "/m/01g317");
    assert_string_equal(map.display_names[2], "class 3");
    assert_null(map.names[1]);
    assert_int_equal(find(&map, "toothbrush"), 90);
    assert_int_equal(find(&map, "person"), 1);
    assert_int_equal(find(&map, "/m/01g317"), 1);
    assert_int_equal(find(&map, "background"), 0);
    assert_int_equal(find(&map, "class 3"), -1);
    assert_int_equal(warnings.count, 0);
    det_label_map_free(&t.env, &map);
    /* A name twice: the last item's id, even if it is the lower one. */
    assert_ok(&t.env, parse(&t.env,
                            "item { id: 3 name: 'a' }\nitem { id: 1 name: 'a' }\n"
                            "item { id: 2 name: 'b' display_name: 'x' }\n"
                            "item { id: 4 name: 'x' display_name: 'y' }\n"
                            "item { id: 6 name: 'c' display_name: 'z' }\n"
                            "item { id: 5 name: 'd'\n display_name: 'z' }\n",
                            &map));
    assert_int_equal(find(&map, "z"), 5);
    assert_int_equal(find(&map, "a"), 1);
    assert_int_equal(find(&map, "x"), 4); /* of a name and a display name the higher id */
    assert_int_equal(find(&map, "y"), 4);
    assert_string_equal(warnings.text,
                        "map:2: \"a\" is already that of id 3 in line 1: objects called so are of "
                        "id 1, as TensorFlow reads it\n"
                        "map:7: \"z\" is already that of id 6 in line 5: objects called so are of "
                        "id 5, as TensorFlow reads it\n");
    det_label_map_free(&t.env, &map);
    /* An id twice: one class with two names. */
    warnings = (struct test_warnings){{0}, 0};
    assert_ok(&t.env,
              parse(&t.env, "item { id: 1 name: 'car' }\nitem { id: 1 name: 'van' }", &map));
    assert_int_equal(map.count, 1);
    assert_int_equal(map.item_count, 1);
    assert_string_equal(map.display_names[0], "car");
    assert_int_equal(find(&map, "van"), 1);
    assert_string_equal(
        warnings.text,
        "map:2: id 1 is already that of \"car\" in line 1: \"van\" is the same class\n");
    det_label_map_free(&t.env, &map);
    /* A field twice: the last value. */
    warnings = (struct test_warnings){{0}, 0};
    assert_ok(&t.env, parse(&t.env, "item { id: 1\n id: 2 name: 'a'\n name: 'b' }", &map));
    assert_int_equal(map.count, 2);
    assert_int_equal(find(&map, "b"), 2);
    assert_int_equal(find(&map, "a"), -1);
    assert_int_equal(warnings.count, 2);
    det_label_map_free(&t.env, &map);
    test_env_check(&t);
}

static void finds_what_was_meant(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_label_map map;
    assert_ok(&t.env, parse(&t.env,
                            "item { id: 1 name: 'raccoon' } item { id: 2 name: 'traffic light' } "
                            "item { id: 3 name: 'cat' } item { id: 0 name: 'background' }",
                            &map));
    assert_string_equal(det_label_map_nearest(&map, "Raccoon"), "raccoon");
    assert_string_equal(det_label_map_nearest(&map, "racoon "), "raccoon");
    assert_string_equal(det_label_map_nearest(&map, "Traffic_Light"), "traffic light");
    assert_string_equal(det_label_map_nearest(&map, "trafficlight"), "traffic light");
    assert_string_equal(det_label_map_nearest(&map, "cats"), "cat");
    assert_null(det_label_map_nearest(&map, "dog"));
    assert_null(det_label_map_nearest(&map, "backgroun"));
    det_label_map_free(&t.env, &map);
    test_env_check(&t);
}

static void refuses_with_position(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "map: no item, expected at least one class"},
        {"item { id: 0 name: 'background' }", "map: no item, expected at least one class"},
        {"item {\n id: 0\n name: 'a' }",
         "map:2:2: item \"a\" has id 0, which is the background's: ids start at 1"},
        {"item { id: -3 name: 'a' }", "map:1:8: item \"a\" has id -3, expected 1 to 100000"},
        {"item { id: 1000000000 display_name: 'a' }",
         "map:1:8: item \"a\" has id 1000000000, expected 1 to 100000"},
        {"item { name: 'a' }", "map:1:1: item \"a\" has no id, expected one from 1 on"},
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
        cmocka_unit_test(reads_any_order),      cmocka_unit_test(reads_what_the_api_reads),
        cmocka_unit_test(finds_what_was_meant), cmocka_unit_test(refuses_with_position),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("label_map", tests, NULL, NULL);
}
