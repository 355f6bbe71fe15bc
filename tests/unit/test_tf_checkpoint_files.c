/* Of format tf_checkpoint: damaged object graphs, tables of many blocks, the file `checkpoint`. */
#include "export/tf_object_graph.h"
#include "formats/leveldb_table.h"
#include "formats/tf_bundle.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/workspace.h"

static void damaged_graphs_are_found(void **state)
{
    (void)state;
    struct test_env t;
    struct det_tf_graph graph = {0}, read;
    struct det_text bytes = {0};
    int32_t node = 0, optimizer = 0;
    test_env_init(&t);
    struct det_env *env = &t.env;
    assert_ok(env, det_tf_graph_add(env, &graph, "optimizer", &optimizer));
    assert_ok(env, det_tf_graph_add_variable(env, &graph, "model/a/kernel", &node));
    assert_ok(env, det_tf_graph_add_slot(env, &graph, optimizer, node, "momentum", &node));
    assert_string_equal(graph.nodes[node].key, "model/a/kernel/.OPTIMIZER_SLOT/optimizer/momentum"
                                               "/.ATTRIBUTES/VARIABLE_VALUE");
    assert_ok(env, det_tf_graph_write(env, &graph, &bytes));
    for (size_t cut = 0; cut < bytes.length; cut++) {
        const struct det_text part = {.data = bytes.data, .length = cut};
        if (det_tf_graph_read(env, &part, &read) == DET_OK)
            det_tf_graph_free(env, &read);
    }
    for (size_t at = 0; at < bytes.length; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
            if (det_tf_graph_read(env, &bytes, &read) == DET_OK)
                det_tf_graph_free(env, &read);
            bytes.data[at] = (char)(bytes.data[at] ^ 1 << bit);
        }
    assert_ok(env, det_tf_graph_read(env, &bytes, &read));
    assert_int_equal(read.node_count, graph.node_count);
    det_tf_graph_free(env, &read);
    assert_fails(env, DET_STATUS_CORRUPT, "is empty",
                 det_tf_graph_read(env, &(struct det_text){0}, &read));
    /* A key that is not that of the way to it. */
    det_free(env, &graph.nodes[node].key);
    assert_ok(env, det_strdup(env, &graph.nodes[node].key, "model/b"));
    bytes.length = 0;
    assert_ok(env, det_tf_graph_write(env, &graph, &bytes));
    assert_fails(env, DET_STATUS_CORRUPT, "has the key `model/b`",
                 det_tf_graph_read(env, &bytes, &read));
    det_text_free(env, &bytes);
    det_tf_graph_free(env, &graph);
    test_env_check(&t);
}

/* --- the table, and the file `checkpoint` --- */

struct walked {
    int count;
    char last[80];
};

static det_status take(struct det_env *env, void *argument, const char *key, size_t key_bytes,
                       const uint8_t *value, size_t value_bytes)
{
    struct walked *walked = argument;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "model/layer-%06d/kernel", walked->count);
    if (key_bytes != strlen(wanted) || memcmp(key, wanted, key_bytes) != 0 || value_bytes != 100 ||
        value[99] != (uint8_t)walked->count)
        return det_fail(env, DET_STATUS_CORRUPT, "entry %d", walked->count);
    walked->count++;
    return DET_OK;
}

static void tables_of_many_blocks_are_read_back(void **state)
{
    (void)state;
    enum { ENTRIES = 20000 }; /* some 9 blocks */
    struct test_env t;
    struct det_text file = {0};
    struct det_table_writer writer = {.file = &file};
    struct walked walked = {0};
    test_env_init(&t);
    for (int i = 0; i < ENTRIES; i++) {
        char key[80];
        uint8_t value[100] = {0};
        value[99] = (uint8_t)i;
        snprintf(key, sizeof key, "model/layer-%06d/kernel", i);
        assert_ok(&t.env, det_table_writer_add(&t.env, &writer, key, strlen(key), value, 100));
    }
    assert_fails(&t.env, DET_STATUS_INTERNAL, "does not follow",
                 det_table_writer_add(&t.env, &writer, "model", 5, "", 0));
    assert_fails(&t.env, DET_STATUS_INTERNAL, "does not follow",
                 det_table_writer_add(&t.env, &writer, "model/layer-019999/kernel", 25, "", 0));
    assert_ok(&t.env, det_table_writer_finish(&t.env, &writer));
    assert_ok(&t.env,
              det_table_walk(&t.env, (const uint8_t *)file.data, file.length, take, &walked));
    assert_int_equal(walked.count, ENTRIES);
    det_table_writer_free(&t.env, &writer);
    det_text_free(&t.env, &file);
    test_env_check(&t);
}

static void any_name_is_found_again(void **state)
{
    (void)state;
    static const char *const names[] = {"ckpt-7", "a \"b\" \\ c", "w\xc3\xbcrfel'"};
    struct test_env t;
    char folder[256], path[400];
    test_env_init(&t);
    test_make_directory(folder, "tf_state");
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct det_text text = {0};
        char *name = NULL;
        assert_ok(&t.env, det_checkpoint_state_text(&t.env, names[i], &text));
        assert_ok(&t.env, det_write_file(&t.env, path, text.data, text.length));
        assert_ok(&t.env, det_checkpoint_state_read(&t.env, path, &name));
        assert_string_equal(name, names[i]);
        det_free(&t.env, &name);
        det_text_free(&t.env, &text);
    }
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_tf_checkpoint_files(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_graphs_are_found),
        cmocka_unit_test(tables_of_many_blocks_are_read_back),
        cmocka_unit_test(any_name_is_found_again),
    };
    return cmocka_run_group_tests_name("tf_checkpoint_files", tests, NULL, NULL);
}
