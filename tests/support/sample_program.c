#include "support/sample_program.h"

#include "data/image.h"
#include "support/records.h"

/* What a call of `fill` makes, freed by `release`: whoever reads it afterwards is found. */
struct block {
    det_annotation_object objects[SAMPLE_OBJECTS];
    struct det_image image;
    unsigned char *encoded;
    char id[32];
};

int sample_program_width(size_t i)
{
    return 40 + (int)i % 7;
}

static int height_of(size_t i)
{
    return 30 + (int)i % 5;
}

static void put_objects(size_t index, det_annotation_object *objects)
{
    static const float boxes[SAMPLE_OBJECTS][4] = {{0.1f, 0.2f, 0.6f, 0.7f},
                                                   {0.25f, 0.5f, 0.75f, 1.0f}};
    for (size_t k = 0; k < SAMPLE_OBJECTS; k++) {
        det_annotation_object_default(&objects[k]);
        objects[k].class_name = index % 2 == k ? "dog" : "cat";
        for (int c = 0; c < 4; c++)
            objects[k].box[c] = (double)boxes[k][c];
    }
}

static void put_image(const struct sample_program *p, size_t index, struct block *block,
                      det_labelled_sample *sample)
{
    struct det_env env;
    block->encoded = malloc(p->bytes[index]);
    assert_non_null(block->encoded);
    memcpy(block->encoded, p->encoded[index], p->bytes[index]);
    if (!p->decoded) {
        sample->encoded = block->encoded;
        sample->encoded_bytes = p->bytes[index];
        return;
    }
    det_env_default(&env);
    assert_ok(&env, det_image_decode(&env, "x", block->encoded, p->bytes[index], &block->image));
    sample->pixels = (det_image_view){
        .pixels = block->image.rgb, .width = block->image.width, .height = block->image.height};
}

static void release(void *user, size_t index, det_labelled_sample *sample)
{
    struct sample_program *p = user;
    struct block *block = sample->own;
    struct det_env env;
    det_env_default(&env);
    (void)index;
    atomic_fetch_add(&p->released, 1);
    det_image_free(&env, &block->image);
    free(block->encoded);
    free(block);
}

static int fill(void *user, size_t index, det_labelled_sample *sample)
{
    struct sample_program *p = user;
    struct block *block = calloc(1, sizeof *block);
    assert_non_null(block);
    assert_true(index < SAMPLE_IMAGES);
    assert_int_equal(sample->struct_size, sizeof *sample);
    put_objects(index, block->objects);
    snprintf(block->id, sizeof block->id, "%zu.jpg", index);
    if (sample->needs_image || !p->lazy)
        put_image(p, index, block, sample);
    sample->id = block->id;
    sample->height_px = height_of(index);
    sample->width_px = sample_program_width(index);
    sample->objects = block->objects;
    sample->object_count = index % 3;
    sample->own = block;
    int failed = 0;
    if (p->change != NULL && index == FAULTY_SAMPLE && (sample->needs_image || !p->only_loading))
        failed = p->change(sample, block->objects);
    atomic_fetch_add(&p->filled, 1);
    if (failed != 0)
        release(user, index, sample); /* nobody else does */
    return failed;
}

void sample_program_open(struct sample_program *p)
{
    *p = (struct sample_program){
        .source = {.struct_size = sizeof p->source, .count = SAMPLE_IMAGES}};
    p->source.user = p;
    p->source.fill = fill;
    p->source.release = release;
    for (size_t i = 0; i < SAMPLE_IMAGES; i++)
        p->encoded[i] =
            test_make_jpeg(sample_program_width(i), height_of(i), (unsigned)i, &p->bytes[i]);
}

void sample_program_close(struct sample_program *p)
{
    assert_int_equal(atomic_load(&p->filled), atomic_load(&p->released));
    for (size_t i = 0; i < SAMPLE_IMAGES; i++)
        free(p->encoded[i]);
}

int sample_program_fails(det_labelled_sample *sample, det_annotation_object *objects)
{
    (void)objects;
    sample->error = "the camera\nis off";
    return 7;
}
