/* data/loader.h: same bits for any number of threads, exact continuation, errors, clean shutdown,
 * no allocation when warm. */
#include <math.h>

#include <stdio.h>
#include <unistd.h>

#include "data/loader.h"
#include "support/records.h"
#include "support/test.h"

struct fixture {
    struct test_env t;
    char directory[256], path[300];
    struct det_dataset dataset;
};

static void open_fixture(struct fixture *f, int images)
{
    test_env_init(&f->t);
    test_make_directory(f->directory, "loader");
    snprintf(f->path, sizeof f->path, "%s/a.tfrecord", f->directory);
    test_write_records(&f->t.env, f->path, images);
    const char *const patterns[] = {f->path};
    const struct det_dataset_settings settings = {
        .patterns = patterns, .pattern_count = 1, .labels = test_labels(), .class_count = 2};
    assert_ok(&f->t.env, det_dataset_open(&f->t.env, &settings, &f->dataset));
}

static void close_fixture(struct fixture *f)
{
    det_dataset_close(&f->t.env, &f->dataset);
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

static struct det_augment_option options[6];

static struct det_loader_settings training_settings(const struct fixture *f)
{
    options[0] = det_augment_option_default(DET_AUGMENT_HORIZONTAL_FLIP);
    options[1] = det_augment_option_default(DET_AUGMENT_SSD_CROP);
    options[2] = det_augment_option_default(DET_AUGMENT_RGB_TO_GRAY);
    options[2].probability = 0.5f;
    options[3] = det_augment_option_default(DET_AUGMENT_PAD_IMAGE);
    options[4] = det_augment_option_default(DET_AUGMENT_PATCH_GAUSSIAN);
    options[5] = det_augment_option_default(DET_AUGMENT_JITTER_BOXES);
    return (struct det_loader_settings){
        .dataset = &f->dataset,
        .batch_size = 4,
        .height = 24,
        .width = 20,
        .augment = options,
        .augment_count = 6,
        .seed = 77,
        .shuffle = true,
        .threads = 1,
    };
}

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_batch(const struct det_batch *batch)
{
    uint64_t hash = mix(0xcbf29ce484222325u, &batch->first_sample, sizeof batch->first_sample);
    const size_t pixels = (size_t)batch->height * (size_t)batch->width * 3;
    hash = mix(hash, batch->images, (size_t)batch->count * pixels * sizeof(float));
    for (int32_t i = 0; i < batch->count; i++) {
        const struct det_ground_truth *truth = &batch->truths[i];
        hash = mix(hash, &batch->record_index[i], sizeof batch->record_index[i]);
        hash = mix(hash, batch->original_size[i], sizeof batch->original_size[i]);
        hash = mix(hash, &truth->count, sizeof truth->count);
        if (truth->count > 0) {
            hash = mix(hash, truth->boxes, (size_t)truth->count * sizeof *truth->boxes);
            hash = mix(hash, truth->class_index, (size_t)truth->count * sizeof(int32_t));
        }
    }
    return hash;
}

enum { BATCHES = 12, IMAGES = 11 };

static void run(struct fixture *f, const struct det_loader_settings *settings, uint64_t *hashes,
                int count)
{
    struct det_loader *loader = NULL;
    assert_ok(&f->t.env, det_loader_create(&f->t.env, settings, &loader));
    for (int i = 0; i < count; i++) {
        struct det_batch batch;
        assert_ok(&f->t.env, det_loader_next(&f->t.env, loader, &batch));
        assert_int_equal(batch.count, 4);
        assert_int_equal(batch.first_sample, settings->first_sample + (uint64_t)i * 4);
        hashes[i] = hash_batch(&batch);
    }
    det_loader_destroy(&f->t.env, &loader);
    assert_null(loader);
}

static void threads_and_continuation_change_nothing(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = training_settings(&f);
    uint64_t one[BATCHES], other[BATCHES];
    run(&f, &settings, one, BATCHES);
    for (int i = 1; i < BATCHES; i++)
        assert_true(one[i] != one[0]);
    static const int ring[] = {0, 2, 7};
    for (int threads = 2; threads <= 4; threads++) {
        settings.threads = threads;
        settings.ring = ring[threads - 2];
        run(&f, &settings, other, BATCHES);
        assert_memory_equal(one, other, sizeof one);
    }
    /* From batch 5 on: in the middle of an epoch. */
    settings.first_sample = 5 * 4;
    run(&f, &settings, other, BATCHES - 5);
    assert_memory_equal(one + 5, other, (BATCHES - 5) * sizeof *one);
    settings.seed = 78;
    run(&f, &settings, other, 1);
    assert_true(one[5] != other[0]);
    close_fixture(&f);
}

static void each_epoch_has_every_image_once(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = training_settings(&f);
    settings.threads = 2;
    settings.batch_size = 1;
    struct det_loader *loader = NULL;
    struct det_batch batch;
    assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
    int64_t previous[IMAGES] = {0};
    for (int epoch = 0; epoch < 5; epoch++) {
        int seen[IMAGES] = {0};
        int64_t order[IMAGES];
        for (int i = 0; i < IMAGES; i++) {
            assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
            order[i] = batch.record_index[0];
            seen[order[i]]++;
        }
        for (int i = 0; i < IMAGES; i++)
            assert_int_equal(seen[i], 1);
        assert_true(memcmp(order, previous, sizeof order) != 0);
        memcpy(previous, order, sizeof order);
    }
    det_loader_destroy(&f.t.env, &loader);
    close_fixture(&f);
}

/* Batches until the loader has no more; the number of each one's first sample decides its place. */
static int collect(struct fixture *f, const struct det_loader_settings *settings, uint64_t *hashes)
{
    struct det_loader *loader = NULL;
    struct det_batch batch;
    det_status status;
    int count = 0;
    assert_ok(&f->t.env, det_loader_create(&f->t.env, settings, &loader));
    while ((status = det_loader_next(&f->t.env, loader, &batch)) == DET_OK) {
        const uint64_t place = batch.first_sample / 4;
        const uint64_t left = settings->end_sample - batch.first_sample;
        assert_int_equal(batch.first_sample % 4, 0);
        assert_true(place < BATCHES);
        assert_int_equal(batch.count, left < 4 ? left : 4);
        assert_int_equal(hashes[place], 0);
        hashes[place] = hash_batch(&batch);
        count++;
    }
    assert_int_equal(status, DET_STATUS_FINISHED);
    det_loader_destroy(&f->t.env, &loader);
    return count;
}

/* More loaders than batches too; the last batch has three samples. */
static void loaders_share_a_sequence(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 5, BATCHES, BATCHES + 2};
    struct fixture f;
    open_fixture(&f, IMAGES);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        struct det_loader_settings settings = training_settings(&f);
        uint64_t one[BATCHES] = {0};
        settings.shuffle = shuffle != 0;
        settings.end_sample = 4 * BATCHES - 1;
        assert_int_equal(collect(&f, &settings, one), BATCHES);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const int size = sizes[i];
            uint64_t shared[BATCHES] = {0};
            settings.stride = size;
            settings.threads = 1 + (int)i % 3;
            for (int rank = 0; rank < size; rank++) {
                settings.first_sample = 4 * (uint64_t)rank;
                assert_int_equal(collect(&f, &settings, shared),
                                 (BATCHES - 1 - rank + size) / size);
            }
            assert_memory_equal(shared, one, sizeof one);
        }
    }
    /* Without an end, from a sample in the middle of a batch of the others. */
    struct det_loader_settings settings = training_settings(&f);
    struct det_loader *loader = NULL;
    struct det_batch batch;
    settings.first_sample = 6;
    settings.stride = 3;
    assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
    for (uint64_t i = 0; i < 5; i++) {
        assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
        assert_int_equal(batch.first_sample, 6 + 12 * i);
    }
    det_loader_destroy(&f.t.env, &loader);
    settings.stride = -1;
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "stride: got -1",
                 det_loader_create(&f.t.env, &settings, &loader));
    close_fixture(&f);
}

/* One pass in order, as evaluation needs it, and padding of a kept aspect ratio. */
static void one_pass_in_order(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = {
        .dataset = &f.dataset,
        .batch_size = 4,
        .min_dimension = 32,
        .max_dimension = 32,
        .pad_value = {0.5f, 0, -1},
        .threads = 2,
        .end_sample = IMAGES,
    };
    struct det_loader *loader = NULL;
    struct det_batch batch;
    assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
    int seen = 0;
    while (seen < IMAGES) {
        assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
        assert_int_equal(batch.count, IMAGES - seen < 4 ? IMAGES - seen : 4);
        for (int32_t i = 0; i < batch.count; i++, seen++) {
            assert_int_equal(batch.record_index[i], seen);
            assert_int_equal(batch.original_size[i][0], 30 + seen % 5);
            assert_int_equal(batch.original_size[i][1], 40 + seen % 7);
            int32_t height = 0, width = 0;
            det_keep_aspect_size(30 + seen % 5, 40 + seen % 7, 32, 32, &height, &width);
            assert_int_equal(width, 32);
            assert_true(height < 32);
            const float *last = batch.images + ((size_t)i * 32 * 32 + 31 * 32) * 3;
            assert_near(last[0], 1.5 * 127.5, 0);
            assert_near(last[31 * 3 + 1], 127.5, 0);
            if (batch.truths[i].count > 0) {
                assert_near(batch.truths[i].boxes[0][2], 0.6 * height / 32, 1e-6);
                assert_near(batch.truths[i].boxes[0][3], 0.7, 1e-6);
            }
        }
    }
    for (int i = 0; i < 2; i++)
        assert_fails(&f.t.env, DET_STATUS_FINISHED, "all samples",
                     det_loader_next(&f.t.env, loader, &batch));
    det_loader_destroy(&f.t.env, &loader);
    close_fixture(&f);
}

static void errors_name_the_record(void **state)
{
    (void)state;
    struct fixture f;
    test_env_init(&f.t);
    test_make_directory(f.directory, "loader");
    snprintf(f.path, sizeof f.path, "%s/bad.tfrecord", f.directory);
    struct det_writer writer;
    assert_ok(&f.t.env, det_writer_open(&f.t.env, f.path, &writer));
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(40, 40, 1, &bytes);
    for (int i = 0; i < 9; i++) {
        /* Records 6 and 7 are truncated: whoever is first, the message is about 6. */
        const struct det_example example = {
            .encoded = {jpeg, i == 6 || i == 7 ? bytes / 2 : bytes}};
        test_write_example(&f.t.env, &writer, &example);
    }
    free(jpeg);
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    const char *const patterns[] = {f.path};
    const struct det_dataset_settings dataset_settings = {
        .patterns = patterns, .pattern_count = 1, .labels = test_labels(), .class_count = 2};
    assert_ok(&f.t.env, det_dataset_open(&f.t.env, &dataset_settings, &f.dataset));
    struct det_loader_settings settings = {
        .dataset = &f.dataset, .batch_size = 3, .height = 8, .width = 8, .threads = 3};
    struct det_loader *loader = NULL;
    struct det_batch batch;
    assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
    assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
    assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
    for (int i = 0; i < 2; i++) {
        assert_fails(&f.t.env, DET_STATUS_CORRUPT, "bad.tfrecord: record 6: truncated JPEG",
                     det_loader_next(&f.t.env, loader, &batch));
        assert_null(batch.images);
    }
    det_loader_destroy(&f.t.env, &loader);
    settings.batch_size = 0;
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "batch size: got 0",
                 det_loader_create(&f.t.env, &settings, &loader));
    assert_null(loader);
    close_fixture(&f);
}

static void warm_loader_does_not_allocate(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = training_settings(&f);
    /* Of several workers one may get no turn before the count begins, and then warms up late. */
    settings.threads = 1;
    struct det_loader *loader = NULL;
    struct det_batch batch;
    assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
    for (int i = 0; i < 60; i++)
        assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
    const long before = test_env_allocations(&f.t);
    for (int i = 0; i < 60; i++)
        assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
    /* The worker may meet its largest crop late; 240 samples must not mean 240 allocations. */
    const long more = test_env_allocations(&f.t) - before;
    if (more > 6)
        fail_msg("%ld allocations for 240 samples", more);
    assert_true(det_loader_wait_ns(loader) > 0);
    assert_int_equal(det_loader_ring_bytes(&settings), 3 * 4 * 24 * 20 * 3 * 4);
    det_loader_destroy(&f.t.env, &loader);
    close_fixture(&f);
}

static void stops_at_any_time(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = training_settings(&f);
    settings.threads = 3;
    for (int i = 0; i < 30; i++) {
        struct det_loader *loader = NULL;
        struct det_batch batch;
        assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
        for (int k = 0; k < i % 3; k++)
            assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
        if (i % 2 == 0)
            usleep((useconds_t)(i * 50));
        det_loader_destroy(&f.t.env, &loader);
        det_loader_destroy(&f.t.env, &loader);
    }
    close_fixture(&f);
}

static det_status create_and_load(struct det_env *env, void *argument)
{
    struct fixture *f = argument;
    struct det_loader_settings settings = training_settings(f);
    struct det_loader *loader = NULL;
    struct det_batch batch;
    settings.end_sample = 6;
    for (int pictures = 0; pictures < 2; pictures++) {
        settings.pictures = pictures != 0;
        det_status status = det_loader_create(env, &settings, &loader);
        while (status == DET_OK)
            status = det_loader_next(env, loader, &batch);
        det_loader_destroy(env, &loader);
        if (status != DET_STATUS_FINISHED)
            return status;
    }
    return DET_OK;
}

static void failed_allocations(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 5);
    test_each_allocation_fails(create_and_load, &f);
    close_fixture(&f);
}

enum { SHOWN = 6, PIXELS = 32 * 32 * 3 };

static float shown[SHOWN][4][PIXELS];

static void copy_images(struct det_env *env, const struct det_batch *batch, float (*to)[PIXELS])
{
    for (int32_t i = 0; i < batch->count; i++)
        assert_ok(env, det_batch_image(env, batch, i, to[i]));
}

/* Batches of pictures, of which some are bytes and some floats, stand for the same floats; those
 * that are held stay what they were. */
static void pictures_show_the_same(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, IMAGES);
    struct det_loader_settings settings = training_settings(&f);
    options[1].crops[0].random_coef = 0.15f;
    options[3] = det_augment_option_default(DET_AUGMENT_DISTORT_COLOR);
    options[4].random_coef = 0.5f; /* noise on floats */
    settings.held = 2;
    for (int keep = 0; keep < 2; keep++) {
        static float image[4][PIXELS];
        int kinds[2] = {0};
        struct det_loader *loader = NULL;
        struct det_batch batch, before = {0};
        if (keep == 1) {
            settings.min_dimension = 16;
            settings.max_dimension = 32;
            settings.pad_value[1] = 0.25f;
        }
        settings.pictures = false;
        settings.threads = 1;
        assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
        for (int i = 0; i < SHOWN; i++) {
            assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
            assert_null(batch.pictures);
            copy_images(&f.t.env, &batch, shown[i]);
        }
        det_loader_destroy(&f.t.env, &loader);
        settings.pictures = true;
        settings.threads = 3;
        assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader));
        const size_t bytes = (size_t)batch.height * (size_t)batch.width * 3 * sizeof(float);
        for (int i = 0; i < SHOWN; i++, before = batch) {
            assert_ok(&f.t.env, det_loader_next(&f.t.env, loader, &batch));
            assert_null(batch.images);
            for (int k = i > 0 ? 1 : 0; k >= 0; k--) {
                copy_images(&f.t.env, k == 0 ? &batch : &before, image);
                for (int32_t n = 0; n < 4; n++)
                    assert_memory_equal(image[n], shown[i - k][n], bytes);
            }
            for (int32_t n = 0; n < 4; n++)
                kinds[batch.pictures[n].in_float]++;
        }
        det_loader_destroy(&f.t.env, &loader);
        assert_true(kinds[0] > 2 && kinds[1] > 2);
    }
    close_fixture(&f);
}

/* Other pixels, but the same picture, objects and sizes. */
static void fast_decoding_shows_the_same(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 6);
    struct det_loader_settings settings = training_settings(&f);
    struct det_loader *loader[2] = {NULL, NULL};
    struct det_batch batch[2];
    settings.augment_count = 0;
    settings.batch_size = 6;
    settings.height = settings.width = 12;
    for (int i = 0; i < 2; i++) {
        settings.fast_decode = i == 1;
        assert_ok(&f.t.env, det_loader_create(&f.t.env, &settings, &loader[i]));
        assert_ok(&f.t.env, det_loader_next(&f.t.env, loader[i], &batch[i]));
    }
    const size_t floats = 6 * 12 * 12 * 3;
    double difference = 0;
    for (size_t k = 0; k < floats; k++)
        difference += fabs((double)batch[0].images[k] - (double)batch[1].images[k]);
    difference /= (double)floats;
    assert_true(difference > 0.1 && difference < 60);
    for (int32_t i = 0; i < 6; i++) {
        assert_memory_equal(batch[0].original_size[i], batch[1].original_size[i],
                            sizeof batch[0].original_size[i]);
        assert_int_equal(batch[0].truths[i].count, batch[1].truths[i].count);
        assert_memory_equal(batch[0].truths[i].boxes, batch[1].truths[i].boxes,
                            (size_t)batch[0].truths[i].count * sizeof batch[0].truths[i].boxes[0]);
        assert_memory_equal(batch[0].truths[i].area_px, batch[1].truths[i].area_px,
                            (size_t)batch[0].truths[i].count * sizeof(float));
    }
    for (int i = 0; i < 2; i++)
        det_loader_destroy(&f.t.env, &loader[i]);
    close_fixture(&f);
}

int test_loader(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_continuation_change_nothing),
        cmocka_unit_test(each_epoch_has_every_image_once),
        cmocka_unit_test(loaders_share_a_sequence),
        cmocka_unit_test(one_pass_in_order),
        cmocka_unit_test(fast_decoding_shows_the_same),
        cmocka_unit_test(errors_name_the_record),
        cmocka_unit_test(warm_loader_does_not_allocate),
        cmocka_unit_test(stops_at_any_time),
        cmocka_unit_test(failed_allocations),
        cmocka_unit_test(pictures_show_the_same),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
