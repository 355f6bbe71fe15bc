/* monitor/summary_writer: event files, read back by a reader of the tests' own and, where
 * installed, by TensorBoard's. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>

#include "base/context.h"
#include "data/image.h"
#include "det/summary.h"
#include "formats/protowire.h"
#include "formats/tfrecord.h"
#include "support/workspace.h"

struct fixture {
    struct test_env t; /* of the context */
    det_context *context;
    struct det_env *env;
    char folder[256];
};

static void open_fixture(struct fixture *f)
{
    test_env_init(&f->t);
    f->context = workspace_machine(&f->t, 1);
    f->env = det_context_env(f->context);
    test_make_directory(f->folder, "summary");
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->folder);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

/* --- a reader --- */

struct value {
    struct det_record record; /* that all pointers lead into */
    char tag[64], plugin[32], version[32];
    int64_t step;
    double wall_time;
    uint64_t data_class, type;
    int64_t shape[2];
    int dims;
    float floats[64];
    size_t float_count;
    struct det_wire strings[8], content;
    size_t string_count;
};

static bool next(struct det_env *env, struct det_wire *wire, struct det_wire_field *field)
{
    assert_ok(env, det_wire_next(env, wire, field));
    return field->number != 0;
}

static void copy_text(char *to, size_t room, const struct det_wire *from)
{
    assert_true(from->bytes < room);
    memcpy(to, from->data, from->bytes);
    to[from->bytes] = '\0';
}

static void read_tensor(struct det_env *env, struct det_wire tensor, struct value *v)
{
    struct det_wire_field field, dim, size;
    while (next(env, &tensor, &field)) {
        if (field.number == 1) {
            v->type = field.value;
        } else if (field.number == 2) {
            while (next(env, &field.payload, &dim)) {
                assert_int_equal(dim.number, 2);
                assert_true(next(env, &dim.payload, &size));
                v->shape[v->dims++] = (int64_t)size.value;
            }
        } else if (field.number == 5) {
            while (field.payload.at < field.payload.bytes) {
                uint32_t bits;
                assert_ok(env, det_wire_read_fixed32(env, &field.payload, &bits));
                assert_true(v->float_count < 64);
                v->floats[v->float_count++] = det_wire_float(bits);
            }
        } else {
            assert_int_equal(field.number, 8);
            assert_true(v->string_count < 8);
            v->strings[v->string_count++] = field.payload;
        }
    }
}

static void read_metadata(struct det_env *env, struct det_wire metadata, struct value *v)
{
    struct det_wire_field field, data;
    while (next(env, &metadata, &field)) {
        if (field.number == 4) {
            v->data_class = field.value;
            continue;
        }
        assert_int_equal(field.number, 1);
        while (next(env, &field.payload, &data))
            if (data.number == 1)
                copy_text(v->plugin, sizeof v->plugin, &data.payload);
            else
                v->content = data.payload;
    }
}

static void read_value(struct det_env *env, struct det_wire summary, struct value *v)
{
    struct det_wire_field field, part;
    assert_true(next(env, &summary, &field));
    assert_int_equal(field.number, 1);
    while (next(env, &field.payload, &part)) {
        if (part.number == 1)
            copy_text(v->tag, sizeof v->tag, &part.payload);
        else if (part.number == 8)
            read_tensor(env, part.payload, v);
        else if (part.number == 9)
            read_metadata(env, part.payload, v);
        else
            fail_msg("field %u of a summary's value", (unsigned)part.number);
    }
}

static void read_event(struct det_env *env, const struct det_record_set *set, size_t index,
                       struct value *v)
{
    struct det_wire_field field;
    *v = (struct value){.record = v->record};
    assert_ok(env, det_record_set_get(env, set, index, &v->record));
    struct det_wire event = det_wire_start(v->record.data, v->record.bytes);
    while (next(env, &event, &field)) {
        if (field.number == 1)
            memcpy(&v->wall_time, &field.value, sizeof v->wall_time);
        else if (field.number == 2)
            v->step = (int64_t)field.value;
        else if (field.number == 3)
            copy_text(v->version, sizeof v->version, &field.payload);
        else
            read_value(env, field.payload, v);
    }
}

static void open_events(struct fixture *f, const char *path, struct det_record_set *set,
                        size_t count)
{
    const char *const patterns[] = {path};
    assert_ok(f->env, det_record_set_open(f->env, patterns, 1, set));
    assert_int_equal(set->record_count, count);
}

/* --- tests --- */

static const uint8_t bgr_pixels[2 * 8] = {1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0};
static const det_image_view picture = {
    .pixels = bgr_pixels, .width = 2, .height = 2, .stride_bytes = 8, .format = DET_PIXEL_BGR8};

/* One event of each kind: 5 records, the file's version first. */
static void write_each_kind(struct fixture *f, det_summary_writer *writer)
{
    const det_image_view pictures[] = {picture, picture};
    const float row[2][3] = {{4, 2, 1}, {.5f, .75f, 1}};
    const det_pr_curve curve = {.struct_size = sizeof curve,
                                .thresholds = 3,
                                .true_positives = row[0],
                                .false_positives = row[0],
                                .false_negatives = row[0],
                                .precision = row[1],
                                .recall = row[1]};
    assert_ok(f->env, det_summary_scalar(writer, "Loss/total_loss", 7, 1.25));
    assert_ok(f->env, det_summary_text(writer, "config", 8, "**bold**"));
    assert_ok(f->env, det_summary_images(writer, "input", 9, pictures, 2));
    assert_ok(f->env, det_summary_pr_curve(writer, "curve", 1LL << 40, &curve));
    assert_ok(f->env, det_summary_flush(writer));
}

static void each_kind_reads_back(void **state)
{
    (void)state;
    struct fixture f;
    struct det_record_set set;
    struct value v = {0};
    det_summary_writer *writer = NULL;
    open_fixture(&f);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    assert_non_null(strstr(det_summary_writer_path(writer), "/events.out.tfevents."));
    write_each_kind(&f, writer);
    open_events(&f, det_summary_writer_path(writer), &set, 5);

    read_event(f.env, &set, 0, &v);
    assert_string_equal(v.version, "brain.Event:2");
    assert_true(v.wall_time > 1.6e9);

    read_event(f.env, &set, 1, &v);
    assert_string_equal(v.tag, "Loss/total_loss");
    assert_string_equal(v.plugin, "scalars");
    assert_int_equal(v.data_class, 1);
    assert_int_equal(v.step, 7);
    assert_int_equal(v.type, 1);
    assert_int_equal(v.dims, 0);
    assert_int_equal(v.float_count, 1);
    assert_near(v.floats[0], 1.25, 0);

    read_event(f.env, &set, 2, &v);
    assert_string_equal(v.plugin, "text");
    assert_int_equal(v.string_count, 1);
    assert_memory_equal(v.strings[0].data, "**bold**", 8);

    read_event(f.env, &set, 3, &v);
    assert_string_equal(v.plugin, "images");
    assert_int_equal(v.data_class, 3);
    assert_int_equal(v.type, 7);
    assert_int_equal(v.shape[0], 4);
    assert_int_equal(v.string_count, 4);
    assert_memory_equal(v.strings[0].data, "2", 1);
    assert_memory_equal(v.strings[1].data, "2", 1);
    struct det_image image = {0};
    static const uint8_t rgb[] = {3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10};
    assert_ok(f.env,
              det_image_decode(f.env, "summary", v.strings[3].data, v.strings[3].bytes, &image));
    assert_memory_equal(image.rgb, rgb, sizeof rgb);
    det_image_free(f.env, &image);

    read_event(f.env, &set, 4, &v);
    assert_string_equal(v.plugin, "pr_curves");
    assert_int_equal(v.step, 1LL << 40);
    assert_int_equal(v.shape[0], 6);
    assert_int_equal(v.shape[1], 3);
    assert_int_equal(v.float_count, 18);
    assert_near(v.floats[0], 4, 0);
    assert_near(v.floats[6], 0, 0); /* true negatives */
    assert_near(v.floats[13], .75, 0);

    det_record_free(f.env, &v.record);
    det_record_set_close(f.env, &set);
    det_summary_writer_destroy(&writer);
    assert_null(writer);
    close_fixture(&f);
}

/* Two writers of one second do not share a file; what was not flushed is when the writer is
 * destroyed; large amounts are handed over on the way. */
static void files_are_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct det_record_set set;
    det_summary_writer *writers[2] = {NULL, NULL};
    char paths[2][512];
    enum { MANY = 2000 };
    open_fixture(&f);
    for (int i = 0; i < 2; i++) {
        assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writers[i]));
        snprintf(paths[i], sizeof paths[i], "%s", det_summary_writer_path(writers[i]));
    }
    assert_string_not_equal(paths[0], paths[1]);
    for (int i = 0; i < MANY; i++)
        assert_ok(f.env, det_summary_scalar(writers[1], "x", i, i));
    open_events(&f, paths[0], &set, 1);
    det_record_set_close(f.env, &set);
    for (int i = 0; i < 2; i++)
        det_summary_writer_destroy(&writers[i]);
    open_events(&f, paths[1], &set, 1 + MANY);
    struct value v = {0};
    read_event(f.env, &set, MANY, &v);
    assert_near(v.floats[0], MANY - 1, 0);
    det_record_free(f.env, &v.record);
    det_record_set_close(f.env, &set);
    close_fixture(&f);
}

static void bad_input(void **state)
{
    (void)state;
    struct fixture f;
    struct det_record_set set;
    det_summary_writer *writer = NULL;
    open_fixture(&f);
    assert_fails(f.env, DET_STATUS_NOT_FOUND, "/dev/null/x",
                 det_summary_writer_create(f.context, "/dev/null/x", &writer));
    assert_null(writer);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    const det_image_view broken = {.pixels = bgr_pixels, .width = -1, .height = 2};
    const float row[1] = {0};
    const det_pr_curve curve = {sizeof curve, 1, row, row, row, row, row};
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "tag", det_summary_scalar(writer, "", 0, 0));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "no images",
                 det_summary_images(writer, "a", 0, NULL, 0));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "",
                 det_summary_images(writer, "a", 0, &broken, 1));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "1 thresholds",
                 det_summary_pr_curve(writer, "a", 0, &curve));
    const det_pr_curve endless = {.struct_size = sizeof endless, .thresholds = INT32_MAX};
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "expected 2 to 1000000",
                 det_summary_pr_curve(writer, "a", 0, &endless));
    /* Nothing of these got into the file. */
    assert_ok(f.env, det_summary_scalar(writer, "x", 1, 2));
    assert_ok(f.env, det_summary_flush(writer));
    open_events(&f, det_summary_writer_path(writer), &set, 2);
    det_record_set_close(f.env, &set);
    det_summary_writer_destroy(&writer);
    close_fixture(&f);
}

/* A full disk costs nothing that can still be written once there is room. */
static void full_disk(void **state)
{
    (void)state;
    struct fixture f;
    struct det_record_set set;
    det_summary_writer *writer = NULL;
    struct rlimit before, small;
    open_fixture(&f);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    for (int i = 0; i < 10; i++)
        assert_ok(f.env, det_summary_scalar(writer, "x", i, i));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const det_status status = det_summary_flush(writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_fails(f.env, DET_STATUS_IO, "events.out", status);
    assert_ok(f.env, det_summary_flush(writer));
    open_events(&f, det_summary_writer_path(writer), &set, 11);
    det_record_set_close(f.env, &set);
    det_summary_writer_destroy(&writer);
    close_fixture(&f);
}

static void tensorboard_reads_it(void **state)
{
    (void)state;
    struct fixture f;
    det_summary_writer *writer = NULL;
    char command[1024], line[1024];
    open_fixture(&f);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    write_each_kind(&f, writer);
    snprintf(command, sizeof command, "python3 tests/parity/read_events.py '%s' 2>/dev/null",
             det_summary_writer_path(writer));
    FILE *output = popen(command, "r");
    assert_non_null(output);
    static const char *const expected[] = {
        "Loss/total_loss 7 scalars scalar 1.25\n", "config 8 text scalar 8\n",
        "input 9 images 4 1 1 ",
        ("curve 1099511627776 pr_curves 6x3 4 2 1 4 2 1 0 0 0 4 2 1 0.5 "
         "0.75 1 0.5 0.75 1\n")};
    size_t lines = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        assert_true(lines < 4);
        if (strncmp(line, expected[lines], strlen(expected[lines])) != 0)
            fail_msg("TensorBoard reads \"%s\", expected \"%s\"", line, expected[lines]);
        lines++;
    }
    const int result = pclose(output);
    det_summary_writer_destroy(&writer);
    close_fixture(&f);
    const bool absent =
        WIFEXITED(result) && (WEXITSTATUS(result) == 77 || WEXITSTATUS(result) == 127);
    if (absent) {
        print_message("skipped: the Python package tensorboard is not installed\n");
        skip();
    }
    assert_int_equal(result, 0);
    assert_int_equal(lines, 4);
}

static det_status write_some(struct det_env *env, void *argument)
{
    struct fixture *f = argument;
    det_summary_writer *writer = NULL;
    (void)env;
    det_status status = det_summary_writer_create(f->context, f->folder, &writer);
    if (status == DET_OK)
        status = det_summary_images(writer, "x", 1, &picture, 1);
    det_summary_writer_destroy(&writer);
    return status;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    bool done = false;
    for (long n = 1; !done; n++) {
        const long live = test_env_live(&f.t);
        test_env_fail_at(&f.t, n);
        const det_status status = write_some(f.env, &f);
        test_env_fail_at(&f.t, 0);
        assert_int_equal(test_env_live(&f.t), live);
        done = status == DET_OK;
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
    }
    close_fixture(&f);
}

int test_summary(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_reads_back),
        cmocka_unit_test(files_are_whole),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(tensorboard_reads_it),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
