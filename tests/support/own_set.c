#include "support/own_set.h"

#include "support/annotation_sets.h"
#include "support/records.h"

static void note_found(void *user, const det_annotation_finding *finding)
{
    struct found *found = user;
    assert_true(found->count < MOST_FOUND);
    assert_int_equal(finding->struct_size, sizeof *finding);
    struct finding *at = &found->all[found->count++];
    snprintf(at->rule, sizeof at->rule, "%s", finding->rule);
    snprintf(at->message, sizeof at->message, "%s", finding->message);
    snprintf(at->where, sizeof at->where, "%s", finding->where);
    at->severity = finding->severity;
    at->image = finding->image;
    at->object = finding->object;
    at->line = finding->line;
}

const struct finding *found_rule(const struct found *found, const char *rule)
{
    for (int i = 0; i < found->count; i++)
        if (strcmp(found->all[i].rule, rule) == 0)
            return &found->all[i];
    fail_msg("%s was not found", rule);
    return &found->all[0];
}

det_annotation_set *own_set_create(det_context *context, struct found *found)
{
    det_annotation_set *set = NULL;
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.on_finding = note_found;
    settings.user = found;
    assert_context_ok(context, det_annotation_set_create(context, &settings, &set));
    return set;
}

void own_set_open(struct own_set *f, const char *name)
{
    *f = (struct own_set){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, name);
    f->context = workspace_context(&f->t, 2);
    f->set = own_set_create(f->context, &f->found);
}

void own_set_close(struct own_set *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

void own_set_path(const struct own_set *f, char path[400], const char *name)
{
    snprintf(path, 400, "%s/%s", f->folder, name);
}

void own_set_picture(const struct own_set *f, const char *name, int width, int height,
                     unsigned seed)
{
    char path[400];
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(width, height, seed, &bytes);
    own_set_path(f, path, name);
    test_write_bytes(path, jpeg, bytes);
    free(jpeg);
}

size_t own_set_add_file(struct own_set *f, const char *name, const char *split)
{
    char path[400];
    size_t position = 99;
    own_set_path(f, path, name);
    const det_annotation_image image = {.struct_size = sizeof image, .path = path, .split = split};
    assert_context_ok(f->context, det_annotation_set_add_image(f->set, &image, &position));
    return position;
}

det_annotation_object own_object(const char *class_name, int in_pixels, double ymin, double xmin,
                                 double ymax, double xmax)
{
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = class_name;
    object.in_pixels = in_pixels;
    object.box[0] = ymin;
    object.box[1] = xmin;
    object.box[2] = ymax;
    object.box[3] = xmax;
    return object;
}

void own_set_add_box(struct own_set *f, size_t position, const char *class_name, int in_pixels,
                     double ymin, double xmin, double ymax, double xmax)
{
    const det_annotation_object object = own_object(class_name, in_pixels, ymin, xmin, ymax, xmax);
    assert_context_ok(f->context, det_annotation_set_add_object(f->set, position, &object));
}
