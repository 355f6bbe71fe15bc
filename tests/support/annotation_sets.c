#include "support/annotation_sets.h"

#include "convert/resolve.h"
#include "support/records.h"
#include "support/workspace.h"

det_status test_load_set(struct det_env *env, det_reader read, const char *path,
                         struct det_annotations *set, struct det_findings *findings)
{
    static struct det_files files; /* on disk: it holds nothing but listings of folders */
    const struct det_read_settings settings = {
        .path = path, .files = &files, .split = "a", .findings = findings};
    det_status status = det_annotations_init(env, set, NULL);
    if (status == DET_OK)
        status = read(env, &settings, set);
    if (status == DET_OK)
        status = det_annotations_finish(env, set, findings);
    if (status == DET_OK)
        status = det_annotations_resolve(env, set, DET_EXIF_AUTO, NULL, findings);
    det_files_close(env, &files);
    return status;
}

void test_make_set(struct det_env *env, const char *path, struct det_annotations *set)
{
    struct det_findings findings = {0};
    test_write_records(env, path, 7);
    assert_ok(env, test_load_set(env, det_read_tfrecord, path, set, &findings));
    assert_int_equal(findings.errors, 0);
    assert_int_equal(set->image_count, 7);
    assert_int_equal(set->object_count, 6);
    set->objects[0].difficult = true;
    set->objects[2].is_crowd = true;
}

void test_path_in(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
}

void test_write_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

void test_write_text(const char *folder, const char *name, const char *text)
{
    char path[700];
    test_path_in(path, sizeof path, folder, name);
    test_write_bytes(path, text, strlen(text));
}

void test_note_finding(void *user, enum det_rule rule, const char *message)
{
    struct test_findings *seen = user;
    snprintf(seen->text[rule], sizeof seen->text[rule], "%s", message);
}

det_annotation_image_info test_image_info(det_context *context, det_annotation_set *set,
                                          size_t position)
{
    det_annotation_image_info info = {.struct_size = sizeof info};
    assert_context_ok(context, det_annotation_set_image(set, position, &info));
    return info;
}

det_annotation_object test_object_at(det_context *context, det_annotation_set *set, size_t position,
                                     size_t index)
{
    det_annotation_object object = {.struct_size = sizeof object};
    assert_context_ok(context, det_annotation_set_object(set, position, index, &object));
    return object;
}
