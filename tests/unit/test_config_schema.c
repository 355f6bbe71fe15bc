/* Every field of the API's messages beside the tables of libdet: none is unknown, none is made up,
 * types and defaults are the same; and docs/config_fields.md is what the tables say. */
#include "formats/pipeline_config.h"
#include "formats/pipeline_schema.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"

#define DOCUMENT "docs/config_fields.md"

enum { MOST_WORDS = 4000, MOST_MESSAGES = 200 };

/* A line of tests/golden/api_protos.txt: [repeated] TYPE NAME [DEFAULT]. */
struct api_field {
    char type[200], name[80], fallback[40];
    bool repeated;
};

struct walk {
    struct det_env env;
    char *lines[MOST_WORDS]; /* of the golden */
    size_t line_count;
    bool used[MOST_WORDS];
    const struct det_schema_message *seen[MOST_MESSAGES];
    size_t seen_count;
    struct det_text document;
};

static struct api_field parse_line(const char *line)
{
    struct api_field field = {.repeated = strncmp(line, "  repeated ", 11) == 0};
    const int parts = sscanf(line + (field.repeated ? 11 : 2), "%199s %79s %39s", field.type,
                             field.name, field.fallback);
    assert_true(parts >= 2);
    return field;
}

static bool is_field(const struct walk *w, size_t line)
{
    return line < w->line_count && w->lines[line][0] == ' ';
}

static size_t find_message(const struct walk *w, const char *name)
{
    for (size_t i = 0; i < w->line_count; i++)
        if (strcmp(w->lines[i], name) == 0)
            return i;
    fail_msg("the API has no message %s", name);
    return 0;
}

static void check_type(const struct api_field *api, const struct det_schema_field *field)
{
    static const char *const types[] = {"bool", "int32", "uint32", "float", "string"};
    char word[80];
    assert_int_equal(api->repeated, field->repeated);
    if (field->type == DET_SCHEMA_MESSAGE) {
        if (field->message != NULL)
            assert_string_equal(api->type, field->message->name);
        return;
    }
    if (field->type != DET_SCHEMA_ENUM) {
        assert_string_equal(api->type, types[field->type]);
        return;
    }
    /* Each word of the API is one of ours. */
    for (const char *at = api->type + strlen("enum("); *at != '\0';
         at += *at == ',' || *at == ')') {
        const size_t length = strcspn(at, ",)");
        const struct det_schema_word *known = field->words;
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        while (known->name != NULL && strcmp(known->name, word) != 0)
            known++;
        if (known->name == NULL)
            fail_msg("`%s` lacks the value %s", field->name, word);
        at += length;
    }
}

/* Of what is kept, told or refused; of the rest nobody asks. */
static void check_default(const struct api_field *api, const struct det_schema_message *message,
                          const struct det_schema_field *field)
{
    double expected = 0;
    if (field->use == DET_SCHEMA_HARMLESS || field->type == DET_SCHEMA_MESSAGE || field->repeated)
        return;
    if (strcmp(message->name, "RandomAbsolutePadImage") == 0)
        return; /* builders/preprocessor_builder.py: `or 1` */
    if (field->type == DET_SCHEMA_STRING) {
        assert_string_equal(field->text_fallback != NULL ? field->text_fallback : "",
                            api->fallback);
        return;
    }
    if (field->type == DET_SCHEMA_ENUM) {
        for (const struct det_schema_word *word = field->words; word->name != NULL; word++)
            if (strcmp(word->name, api->fallback) == 0)
                expected = word->value;
    } else if (strcmp(api->fallback, "true") == 0) {
        expected = 1;
    } else if (api->fallback[0] != '\0' && strcmp(api->fallback, "false") != 0) {
        assert_true(det_parse_double(api->fallback, &expected));
    }
    if ((float)expected != (float)field->fallback)
        fail_msg("%s.%s is %s by default, here %g", message->name, field->name, api->fallback,
                 field->fallback);
}

static const char *use_of(const struct det_schema_field *field, uint8_t stage)
{
    switch ((enum det_schema_use)field->use) {
    case DET_SCHEMA_HONOURED:
        return "honoured";
    case DET_SCHEMA_HARMLESS:
        return "ignored: ";
    case DET_SCHEMA_TOLD:
        return "ignored with a warning: ";
    case DET_SCHEMA_REFUSED:
        break;
    }
    return stage == DET_STAGE_INFERENCE    ? "not supported but in training: "
           : stage == DET_STAGE_EVALUATION ? "not supported in evaluation: "
                                           : "not supported: ";
}

static void describe(struct walk *w, const struct api_field *api,
                     const struct det_schema_field *field, uint8_t stage)
{
    char type[300];
    snprintf(type, sizeof type, "%s%s", api->repeated ? "repeated " : "",
             strncmp(api->type, "enum", 4) == 0 ? "enum" : api->type);
    assert_ok(&w->env, det_text_printf(&w->env, &w->document, "| `%s` | %s | %s | %s%s |\n",
                                       api->name, type, api->fallback, use_of(field, stage),
                                       field->use == DET_SCHEMA_HONOURED ? "" : field->reason));
}

static void walk_message(struct walk *w, const struct det_schema_message *message, uint8_t stage)
{
    for (size_t i = 0; i < w->seen_count; i++)
        if (w->seen[i] == message)
            return;
    assert_true(w->seen_count < MOST_MESSAGES);
    w->seen[w->seen_count++] = message;
    const size_t head = find_message(w, message->name);
    const bool described = w->used[head]; /* two tables of one message */
    w->used[head] = true;
    size_t count = 0;
    if (!described && is_field(w, head + 1))
        assert_ok(&w->env, det_text_printf(&w->env, &w->document,
                                           "\n## %s\n\n| field | type | default | libdet |\n"
                                           "| --- | --- | --- | --- |\n",
                                           message->name));
    for (size_t line = head + 1; is_field(w, line); line++, count++) {
        const struct api_field api = parse_line(w->lines[line]);
        const struct det_schema_field *field = det_schema_find(message, api.name);
        if (field == NULL)
            fail_msg("%s.%s of the API is unknown", message->name, api.name);
        check_type(&api, field);
        check_default(&api, message, field);
        if (!described)
            describe(w, &api, field, stage);
    }
    if (count != message->count)
        fail_msg("%s has %zu fields, the API's %zu", message->name, message->count, count);
    for (size_t i = 0; i < message->count; i++)
        if (message->fields[i].message != NULL)
            walk_message(w, message->fields[i].message,
                         message->fields[i].stage != DET_STAGE_ALL ? message->fields[i].stage
                                                                   : stage);
}

static void compare_with_document(struct walk *w)
{
    char path[300], directory[256];
    struct det_file_bytes contents;
    const det_status status = det_file_read(&w->env, DOCUMENT, &contents);
    const bool same = status == DET_OK && contents.bytes == w->document.length &&
                      memcmp(contents.data, w->document.data, contents.bytes) == 0;
    if (status == DET_OK)
        det_file_release(&contents);
    if (same)
        return;
    test_make_directory(directory, "config_fields");
    snprintf(path, sizeof path, "%s/config_fields.md", directory);
    assert_ok(&w->env, det_write_file(&w->env, path, w->document.data, w->document.length));
    fail_msg(DOCUMENT " is not what the tables say: cp %s " DOCUMENT, path);
}

static const char introduction[] =
    "# Fields of pipeline.config and label maps\n"
    "\n"
    "Every field of the messages that a `pipeline.config` of this network is made of, with the "
    "type "
    "and default of the TF Object Detection API's protos (release 2.8),\n"
    "and what libdet does with it. A test makes this page from libdet's tables and compares it.\n"
    "\n"
    "- **honoured**: does what it does in the API's TF2 code.\n"
    "- **ignored**: read and checked for its type; its value cannot change a result, for the "
    "reason "
    "given.\n"
    "- **ignored with a warning**: the same, where somebody might count on it.\n"
    "- **not supported**: an error that names field, line and column, unless the field has its "
    "default value. What training does not read (`post_processing`, `eval_config`,\n"
    "  `eval_input_reader`) does not stop it: the error comes when a model is exported or "
    "evaluated.\n"
    "\n"
    "A field that is not here is an error with the nearest name. What is there more than once is "
    "merged as protobuf's `text_format.Merge` does it, with a warning: the last value of a field, "
    "the last\n"
    "member of a oneof, messages as one.\n";

static void every_field_of_the_api_is_known(void **state)
{
    (void)state;
    static struct walk w;
    char path[256];
    w = (struct walk){0};
    det_env_default(&w.env);
    char *golden = test_read_text(test_golden(path, "api_protos.txt"));
    for (char *line = strtok(golden, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(w.line_count < MOST_WORDS);
        w.lines[w.line_count++] = line;
    }
    assert_ok(&w.env, det_text_printf(&w.env, &w.document, "%s", introduction));
    walk_message(&w, &det_schema_pipeline, DET_STAGE_ALL);
    walk_message(&w, &det_schema_label_map, DET_STAGE_ALL);
    for (size_t i = 0; i < w.line_count; i++)
        if (!is_field(&w, i) && !w.used[i])
            fail_msg("nothing leads to the message %s of the API", w.lines[i]);
    compare_with_document(&w);
    det_text_free(&w.env, &w.document);
    free(golden);
}

int test_config_schema(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_the_api_is_known),
    };
    return cmocka_run_group_tests_name("config_schema", tests, NULL, NULL);
}
