/* make_dataset.c: own boxes to a data set that training reads: train.tfrecord, val.tfrecord and
 * label_map.pbtxt.
 *
 *     make_dataset LIST FOLDER
 *
 * LIST has a line for each box, in pixels of the picture as a viewer shows it, the boxes of a
 * picture one behind the other:
 *
 *     photos/a.jpg 12 30 220 199 raccoon            FILE XMIN YMIN XMAX YMAX CLASS
 *     photos/b.jpg                                  a picture without any
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <det/det.h>

enum { LINE = 4096 };

static void print_finding(void *user, const det_annotation_finding *finding)
{
    (void)user;
    fprintf(stderr, "%s: %s [%s]\n",
            finding->severity == DET_SEVERITY_WARNING ? "warning" : "error", finding->message,
            finding->rule);
}

/* A line of the list; `where` is its name. `file` is the line before's, whose picture is at
 * `position`. */
static det_status add_line(det_annotation_set *set, const char *where, const char *line,
                           char file[LINE], size_t *position)
{
    char name[LINE], class_name[LINE];
    double x0, y0, x1, y1;
    int end = 0; /* of the name and the blanks behind it */
    const int fields = sscanf(line, "%4095s %n%lf %lf %lf %lf %4095[^\n]", name, &end, &x0, &y0,
                              &x1, &y1, class_name);
    if (fields < 1)
        return DET_OK;
    if (strcmp(name, file) != 0) {
        const det_annotation_image image = {.struct_size = sizeof image, .path = name};
        const det_status status = det_annotation_set_add_image(set, &image, position);
        if (status != DET_OK)
            return status;
        snprintf(file, LINE, "%s", name);
    }
    if (fields == 1 && line[end] == '\0')
        return DET_OK;
    if (fields < 6) {
        char message[2 * LINE];
        snprintf(message, sizeof message, "%s: `%s`: expected FILE XMIN YMIN XMAX YMAX CLASS",
                 where, line);
        return det_annotation_set_add_finding(set, "unreadable", *position, message);
    }
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = class_name;
    object.in_pixels = 1;
    object.box[0] = y0;
    object.box[1] = x0;
    object.box[2] = y1;
    object.box[3] = x1;
    return det_annotation_set_add_object(set, *position, &object);
}

static det_status add_list(det_annotation_set *set, FILE *list)
{
    char line[LINE], file[LINE] = "", where[32];
    size_t position = 0;
    int number = 0;
    det_status status = DET_OK;
    while (status == DET_OK && fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        snprintf(where, sizeof where, "line %d", ++number);
        status = add_line(set, where, line, file, &position);
    }
    return status;
}

static det_status make(det_annotation_set *set, FILE *list, const char *folder)
{
    static const char *const names[] = {"train", "val"};
    static const double shares[] = {.8, .2};
    det_annotations_written written = {.struct_size = sizeof written};
    det_status status = add_list(set, list);
    if (status == DET_OK)
        status = det_annotation_set_resolve(set);
    if (status == DET_OK)
        status = det_annotation_set_check(set);
    if (status == DET_OK)
        status = det_annotation_set_deal(set, names, shares, 2, 1);
    if (status == DET_OK)
        status = det_annotation_set_write(set, "tfrecord", folder, NULL, &written);
    if (status == DET_OK)
        printf("%s: %zu images, %zu boxes in %d classes\n", folder, written.images, written.objects,
               (int)det_annotation_set_class_count(set));
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: make_dataset LIST FOLDER\n");
        return 2;
    }
    FILE *list = fopen(argv[1], "r");
    if (list == NULL) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    det_context *context = NULL;
    det_annotation_set *set = NULL;
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.on_finding = print_finding;
    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK) {
        fprintf(stderr, "make_dataset: %s\n", error.text);
        fclose(list);
        return EXIT_FAILURE;
    }
    det_status status = det_annotation_set_create(context, &settings, &set);
    if (status == DET_OK)
        status = make(set, list, argv[2]);
    if (status != DET_OK)
        fprintf(stderr, "make_dataset: %s\n", det_context_error(context));
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    fclose(list);
    return status == DET_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
