/* The nodes of a program that was read from another engine's file (export/program.h), each against
 * what it has to give, and with shapes that do not fit. */
#include <math.h>

#include "data/resize.h"
#include "export/program.h"
#include "support/mem.h"
#include "support/test.h"

/* An input or a result: values as doubles, whichever type they are. */
struct values {
    bool whole;
    int32_t dims;
    int64_t shape[4];
    double at[64];
};

static size_t count_of(const struct values *v)
{
    size_t count = 1;
    for (int32_t i = 0; i < v->dims; i++)
        count *= (size_t)v->shape[i];
    return count;
}

static void fill(struct det_array *array, const struct values *v)
{
    for (size_t i = 0; i < count_of(v); i++) {
        if (v->whole)
            array->wholes[i] = (int64_t)v->at[i];
        else
            array->floats[i] = (float)v->at[i];
    }
}

/* Runs one node: its first input is the program's, the others are constants. */
static det_status evaluate(struct det_env *env, struct det_node node, const struct values *in,
                           int32_t in_count, int32_t out_count, struct det_array probes[DET_PROBES])
{
    static char name[] = "node";
    const char *reason = NULL;
    struct det_program program;
    struct det_array input = {0};
    det_status status = DET_OK;
    char key[16];
    memset(probes, 0, DET_PROBES * sizeof *probes);
    det_program_init(&program);
    DET_TRY(det_array_create(env, in[0].whole, in[0].dims, in[0].shape, "input", &input));
    fill(&input, &in[0]);
    DET_TRY(det_program_add_value(env, &program, "x", &program.input));
    node.name = name;
    node.in_count = in_count;
    node.out_count = out_count;
    node.in[0] = program.input;
    for (int32_t i = 1; i < in_count; i++) {
        snprintf(key, sizeof key, "c%d", i);
        DET_TRY(det_program_add_constant(env, &program, key, in[i].whole, in[i].dims, in[i].shape,
                                         &node.in[i]));
        fill(&program.values[node.in[i]].array, &in[i]);
    }
    for (int32_t i = 0; i < out_count; i++) {
        snprintf(key, sizeof key, "y%d", i);
        DET_TRY(det_program_add_value(env, &program, key, &node.out[i]));
        program.probes[i] = node.out[i];
    }
    DET_TRY(det_program_add_node(env, &program, &node));
    DET_TRY(det_program_run(env, &program, det_ops_cpu("auto", &reason), NULL, &input, probes));
fail:
    det_array_free(env, &input);
    det_program_free(env, &program);
    return status;
}

static void gives(const char *what, struct det_node node, const struct values *in, int32_t in_count,
                  const struct values *out, int32_t out_count)
{
    struct test_env t;
    struct det_array probes[DET_PROBES];
    test_env_init(&t);
    assert_ok(&t.env, evaluate(&t.env, node, in, in_count, out_count, probes));
    for (int32_t p = 0; p < out_count; p++) {
        bool fits = probes[p].whole == out[p].whole && probes[p].dims == out[p].dims;
        for (int32_t d = 0; fits && d < out[p].dims; d++)
            fits = probes[p].shape[d] == out[p].shape[d];
        if (!fits)
            fail_msg("%s: output %d has another type or shape", what, p);
        for (size_t i = 0; i < count_of(&out[p]); i++) {
            const double got =
                out[p].whole ? (double)probes[p].wholes[i] : (double)probes[p].floats[i];
            if (!(fabs(got - out[p].at[i]) <= 1e-6 * (1 + fabs(out[p].at[i]))))
                fail_msg("%s: output %d has %g at %zu, expected %g", what, p, got, i, out[p].at[i]);
        }
    }
    for (int i = 0; i < DET_PROBES; i++)
        det_array_free(&t.env, &probes[i]);
    test_env_check(&t);
}

static void fails(const char *text, struct det_node node, const struct values *in, int32_t in_count)
{
    struct test_env t;
    struct det_array probes[DET_PROBES];
    test_env_init(&t);
    assert_fails(&t.env, DET_STATUS_CORRUPT, text, evaluate(&t.env, node, in, in_count, 1, probes));
    test_env_check(&t);
}

#define NODE(...) ((struct det_node){__VA_ARGS__})

static void elements(void **state)
{
    (void)state;
    const struct values x = {false, 1, {4}, {-1.5, -0.5, 0.5, 7}};
    gives("clip", NODE(.kind = DET_NODE_CLIP, .clip = {0, 6}), &x, 1,
          &(struct values){false, 1, {4}, {0, 0, 0.5, 6}}, 1);
    gives("round", NODE(.kind = DET_NODE_ROUND),
          &(struct values){false, 1, {4}, {-1.5, -0.5, 2.5, 7}}, 1,
          &(struct values){false, 1, {4}, {-2, 0, 2, 7}}, 1);
    gives("sigmoid", NODE(.kind = DET_NODE_SIGMOID), &x, 1,
          &(struct values){false, 1, {4}, {0.18242552, 0.37754067, 0.62245933, 0.99908895}}, 1);
    gives("exp", NODE(.kind = DET_NODE_EXP), &x, 1,
          &(struct values){false, 1, {4}, {exp(-1.5), exp(-0.5), exp(0.5), exp(7)}}, 1);
    gives("to whole", NODE(.kind = DET_NODE_TO_WHOLE), &x, 1,
          &(struct values){true, 1, {4}, {-1, 0, 0, 7}}, 1);
    gives("to float", NODE(.kind = DET_NODE_TO_FLOAT), &(struct values){true, 1, {2}, {3, -4}}, 1,
          &(struct values){false, 1, {2}, {3, -4}}, 1);
}

static void elements_of_two(void **state)
{
    (void)state;
    /* [2, 1, 3] and [2, 1]: [2, 2, 3]. */
    const struct values in[2] = {{false, 3, {2, 1, 3}, {1, 2, 3, 4, 5, 6}},
                                 {false, 2, {2, 1}, {2, -3}}};
    gives("add", NODE(.kind = DET_NODE_ADD), in, 2,
          &(struct values){false, 3, {2, 2, 3}, {3, 4, 5, -2, -1, 0, 6, 7, 8, 1, 2, 3}}, 1);
    gives("sub", NODE(.kind = DET_NODE_SUB), in, 2,
          &(struct values){false, 3, {2, 2, 3}, {-1, 0, 1, 4, 5, 6, 2, 3, 4, 7, 8, 9}}, 1);
    gives("mul", NODE(.kind = DET_NODE_MUL), in, 2,
          &(struct values){false, 3, {2, 2, 3}, {2, 4, 6, -3, -6, -9, 8, 10, 12, -12, -15, -18}},
          1);
    gives("max", NODE(.kind = DET_NODE_MAX), in, 2,
          &(struct values){false, 3, {2, 2, 3}, {2, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}}, 1);
    gives("greater", NODE(.kind = DET_NODE_GREATER), in, 2,
          &(struct values){true, 3, {2, 2, 3}, {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, 1);
    const struct values whole[2] = {{true, 1, {4}, {7, -7, 1, 3}}, {true, 0, {0}, {2}}};
    gives("whole div", NODE(.kind = DET_NODE_DIV), whole, 2,
          &(struct values){true, 1, {4}, {3, -3, 0, 1}}, 1);
    gives("equal", NODE(.kind = DET_NODE_EQUAL), whole, 2,
          &(struct values){true, 1, {4}, {0, 0, 0, 0}}, 1);
    const struct values choice[3] = {
        {true, 2, {2, 1}, {1, 0}}, {false, 1, {2}, {1, 2}}, {false, 0, {0}, {-1}}};
    gives("where", NODE(.kind = DET_NODE_WHERE), choice, 3,
          &(struct values){false, 2, {2, 2}, {1, 2, -1, -1}}, 1);
    const struct values unequal[2] = {{false, 1, {3}, {0}}, {false, 1, {2}, {0}}};
    fails("sizes 3 and 2", NODE(.kind = DET_NODE_ADD), unequal, 2);
    const struct values mixed[2] = {{false, 1, {2}, {0}}, {true, 1, {2}, {0}}};
    fails("input 1 has the wrong type", NODE(.kind = DET_NODE_ADD), mixed, 2);
    fails("input 1 is missing", NODE(.kind = DET_NODE_ADD), mixed, 1);
    const struct values three[3] = {unequal[0], unequal[0], unequal[0]};
    fails("3 inputs, expected 2", NODE(.kind = DET_NODE_MUL), three, 3);
}

/* As ONNX has them: halves to even, clamped, a scale for all or for each channel. */
static void rounding_nodes(void **state)
{
    (void)state;
    const struct values scale = {false, 0, {0}, {0.5}}, zero = {true, 0, {0}, {3}};
    const struct values x = {false, 1, {8}, {0, 0.25, 0.75, -0.25, -1.75, 200, -200, (double)NAN}};
    const struct values quantize[3] = {x, scale, zero};
    gives("quantize uint8", NODE(.kind = DET_NODE_QUANTIZE, .rounding = {0, 255}), quantize, 3,
          &(struct values){true, 1, {8}, {3, 3, 5, 3, 0, 255, 0, 3}}, 1);
    gives("quantize int8", NODE(.kind = DET_NODE_QUANTIZE, .rounding = {-128, 127}), quantize, 3,
          &(struct values){true, 1, {8}, {3, 3, 5, 3, -1, 127, -128, 3}}, 1);
    const struct values dequantize[3] = {{true, 2, {2, 2}, {0, 3, 255, -128}}, scale, zero};
    gives("dequantize", NODE(.kind = DET_NODE_DEQUANTIZE, .axis = 1), dequantize, 3,
          &(struct values){false, 2, {2, 2}, {-1.5, 0, 126, -65.5}}, 1);
    const struct values channels[3] = {
        dequantize[0], {false, 1, {2}, {0.5, 2}}, {true, 1, {2}, {0, 1}}};
    gives("dequantize rows", NODE(.kind = DET_NODE_DEQUANTIZE, .axis = 0), channels, 3,
          &(struct values){false, 2, {2, 2}, {0, 1.5, 508, -258}}, 1);
    gives("dequantize columns", NODE(.kind = DET_NODE_DEQUANTIZE, .axis = -1), channels, 2,
          &(struct values){false, 2, {2, 2}, {0, 6, 127.5, -256}}, 1);

    const struct values none[3] = {x, {false, 0, {0}, {0}}, zero};
    fails("scale 0 is 0", NODE(.kind = DET_NODE_QUANTIZE, .rounding = {0, 255}), none, 3);
    const struct values infinite[3] = {dequantize[0], {false, 0, {0}, {(double)INFINITY}}, zero};
    fails("scale 0 is inf", NODE(.kind = DET_NODE_DEQUANTIZE), infinite, 3);
    const struct values far[3] = {x, scale, {true, 0, {0}, {256}}};
    fails("of 0 to 255", NODE(.kind = DET_NODE_QUANTIZE, .rounding = {0, 255}), far, 3);
    fails("input 2 is missing", NODE(.kind = DET_NODE_QUANTIZE, .rounding = {0, 255}), quantize, 2);
    const struct values three[2] = {dequantize[0], {false, 1, {3}, {1, 1, 1}}};
    fails("3 scales and 0 zeros along axis 1", NODE(.kind = DET_NODE_DEQUANTIZE, .axis = 1), three,
          2);
    fails("2 scales and 2 zeros along axis 2", NODE(.kind = DET_NODE_DEQUANTIZE, .axis = 2),
          channels, 3);
}

static void places(void **state)
{
    (void)state;
    const struct values x = {false, 2, {2, 3}, {1, 2, 3, 4, 5, 6}};
    gives("shape", NODE(.kind = DET_NODE_SHAPE), &x, 1, &(struct values){true, 1, {2}, {2, 3}}, 1);
    const struct values reshape[2] = {x, {true, 1, {3}, {0, -1, 1}}};
    gives("reshape", NODE(.kind = DET_NODE_RESHAPE), reshape, 2,
          &(struct values){false, 3, {2, 3, 1}, {1, 2, 3, 4, 5, 6}}, 1);
    gives("transpose", NODE(.kind = DET_NODE_TRANSPOSE, .order = {1, 0}), &x, 1,
          &(struct values){false, 2, {3, 2}, {1, 4, 2, 5, 3, 6}}, 1);
    const struct values concat[2] = {x, {false, 2, {2, 1}, {7, 8}}};
    gives("concat", NODE(.kind = DET_NODE_CONCAT, .axis = -1), concat, 2,
          &(struct values){false, 2, {2, 4}, {1, 2, 3, 7, 4, 5, 6, 8}}, 1);
    gives("slice", NODE(.kind = DET_NODE_SLICE, .slice = {{0, -2}, {INT64_MAX, 2}}), &x, 1,
          &(struct values){false, 2, {2, 1}, {2, 5}}, 1);
    const struct values pad[2] = {x, {true, 1, {4}, {1, 0, 0, 2}}};
    gives("pad", NODE(.kind = DET_NODE_PAD), pad, 2,
          &(struct values){false, 2, {3, 5}, {0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0}}, 1);
    const struct values gather[2] = {x, {true, 1, {2}, {2, -3}}};
    gives("gather", NODE(.kind = DET_NODE_GATHER, .axis = 1), gather, 2,
          &(struct values){false, 2, {2, 2}, {3, 1, 6, 4}}, 1);
    const struct values gather_nd[2] = {x, {true, 2, {2, 2}, {1, 2, 0, 0}}};
    gives("gather nd", NODE(.kind = DET_NODE_GATHER_ND), gather_nd, 2,
          &(struct values){false, 1, {2}, {6, 1}}, 1);
    const struct values range[3] = {{true, 0, {0}, {1}}, {true, 0, {0}, {6}}, {true, 0, {0}, {2}}};
    gives("range", NODE(.kind = DET_NODE_RANGE), range, 3,
          &(struct values){true, 1, {3}, {1, 3, 5}}, 1);
    gives("sum", NODE(.kind = DET_NODE_REDUCE_SUM, .reduce = {0, false}), &x, 1,
          &(struct values){false, 1, {3}, {5, 7, 9}}, 1);
    gives("sum, kept", NODE(.kind = DET_NODE_REDUCE_SUM, .reduce = {-1, true}), &x, 1,
          &(struct values){false, 2, {2, 1}, {6, 15}}, 1);

    const struct values bad_reshape[2] = {x, {true, 1, {2}, {4, -1}}};
    fails("6 values become 4", NODE(.kind = DET_NODE_RESHAPE), bad_reshape, 2);
    fails("dimension 0 becomes number 1", NODE(.kind = DET_NODE_TRANSPOSE, .order = {0, 0}), &x, 1);
    const struct values bad_concat[2] = {x, {false, 2, {1, 3}, {0}}};
    fails("another shape than the first", NODE(.kind = DET_NODE_CONCAT, .axis = 1), bad_concat, 2);
    fails("axis 2 of 2 dimensions", NODE(.kind = DET_NODE_CONCAT, .axis = 2), concat, 2);
    const struct values bad_gather[2] = {x, {true, 1, {1}, {3}}};
    fails("index 3 of 3", NODE(.kind = DET_NODE_GATHER, .axis = 1), bad_gather, 2);
    const struct values bad_pad[2] = {x, {true, 1, {4}, {0, 0, -1, 0}}};
    fails("padding of 0 and -1", NODE(.kind = DET_NODE_PAD), bad_pad, 2);
}

static void images(void **state)
{
    (void)state;
    /* One image of 2 x 3 pixels and 2 channels, NCHW; a 1 x 2 kernel with stride 1 and a zero on
     * the right: channel 0 minus its neighbour, plus twice channel 1, plus 10. */
    const struct values conv[3] = {{false, 4, {1, 2, 2, 3}, {1, 2, 4, 8, 16, 32, 1, 1, 1, 2, 2, 2}},
                                   {false, 4, {1, 2, 2, 1}, {1, 2, -1, 0}},
                                   {false, 1, {1}, {10}}};
    const struct det_node node =
        NODE(.kind = DET_NODE_CONV, .conv = {.channels_first = true, .stride = 1, .pad_right = 1});
    gives("conv", node, conv, 3, &(struct values){false, 4, {1, 1, 2, 3}, {11, 10, 16, 6, -2, 46}},
          1);
    const struct values depthwise[2] = {{false, 4, {1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}},
                                        {false, 4, {2, 1, 2, 1}, {1, 10, 1, -10}}};
    gives("depthwise conv, NHWC",
          NODE(.kind = DET_NODE_CONV, .conv = {.depthwise = true, .stride = 1}), depthwise, 2,
          &(struct values){false, 4, {1, 1, 2, 2}, {6, -40, 10, -40}}, 1);
    const struct values nearest = {false, 4, {1, 1, 1, 2}, {1, 2}};
    gives("nearest", NODE(.kind = DET_NODE_RESIZE, .resize = {false, {1, 1, 2, 2}}), &nearest, 1,
          &(struct values){false, 4, {1, 1, 2, 4}, {1, 1, 2, 2, 1, 1, 2, 2}}, 1);
    /* Rows of 3 to 2: places 0 and 1.5. */
    const struct values linear[2] = {{false, 4, {1, 3, 1, 2}, {0, 10, 4, 20, 8, 40}},
                                     {true, 1, {4}, {1, 2, 1, 2}}};
    gives("linear", NODE(.kind = DET_NODE_RESIZE, .resize = {.linear = true}), linear, 2,
          &(struct values){false, 4, {1, 2, 1, 2}, {0, 10, 6, 30}}, 1);

    struct values narrow[2] = {conv[0], conv[1]};
    narrow[1].shape[2] = 3;
    fails("weights for 3 channels, the input has 2", node, narrow, 2);
    struct values tall[2] = {conv[0], {false, 4, {3, 1, 2, 1}, {0}}};
    fails("3 x 1 kernel on an input of 2 x 3", node, tall, 2);
    const struct values none[2] = {linear[0], {true, 1, {4}, {1, 0, 1, 2}}};
    fails("dimension 1 of 3 becomes 0", NODE(.kind = DET_NODE_RESIZE), none, 2);
}

/* Large pictures as det_resize_rgb8() makes them. */
static void pictures_are_resized_as_libdet_does(void **state)
{
    (void)state;
    enum { H = 37, W = 53, OUT_H = 20, OUT_W = 64 };
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    static uint8_t pixels[H * W * 3];
    static float wanted[OUT_H * OUT_W * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)((test_formula("resize", i) + 1) * 127.5);
    const struct det_image image = {.rgb = pixels, .height = H, .width = W};
    const struct det_window window = det_window_whole(H, W);
    det_resize_reference(&image, &window, wanted, (size_t)OUT_W * 3, OUT_H, OUT_W);

    struct det_program program;
    struct det_array input, probes[DET_PROBES];
    struct det_node node = NODE(.kind = DET_NODE_RESIZE, .resize = {.linear = true});
    static char name[] = "resize";
    det_program_init(&program);
    assert_ok(env, det_array_create(env, false, 4, (const int64_t[]){1, H, W, 3}, "in", &input));
    for (size_t i = 0; i < sizeof pixels; i++)
        input.floats[i] = pixels[i];
    node.name = name;
    node.in_count = 2;
    node.out_count = 1;
    assert_ok(env, det_program_add_value(env, &program, "x", &program.input));
    assert_ok(env, det_program_add_constant(env, &program, "sizes", true, 1, (const int64_t[]){4},
                                            &node.in[1]));
    memcpy(program.values[node.in[1]].array.wholes, (const int64_t[]){1, OUT_H, OUT_W, 3},
           4 * sizeof(int64_t));
    assert_ok(env, det_program_add_value(env, &program, "y", &node.out[0]));
    program.probes[DET_PROBE_BOXES] = node.out[0];
    assert_ok(env, det_program_add_node(env, &program, &node));
    assert_ok(env, det_program_run(env, &program, NULL, NULL, &input, probes));
    assert_memory_equal(wanted, probes[DET_PROBE_BOXES].floats, sizeof wanted);
    det_array_free(env, &probes[DET_PROBE_BOXES]);
    det_array_free(env, &input);
    det_program_free(env, &program);
    test_env_check(&t);
}

static void selection(void **state)
{
    (void)state;
    const struct values top[2] = {{false, 2, {2, 4}, {1, 3, 3, 2, 0, -1, 5, 0}},
                                  {true, 1, {1}, {3}}};
    const struct values best[2] = {{false, 2, {2, 3}, {3, 3, 2, 5, 0, 0}},
                                   {true, 2, {2, 3}, {1, 2, 3, 2, 0, 3}}};
    gives("top k", NODE(.kind = DET_NODE_TOP_K), top, 2, best, 2);
    const struct values much[2] = {top[0], {true, 1, {1}, {5}}};
    fails("the largest 5 of 4", NODE(.kind = DET_NODE_TOP_K), much, 2);

    /* Boxes 0 and 1 overlap by 3/5, box 2 lies apart; class 1 takes box 1 first. */
    const struct values boxes = {false, 3, {1, 3, 4}, {0, 0, 1, 4, 0, 1, 1, 5, 5, 5, 6, 6}};
    const struct values nms[5] = {boxes,
                                  {false, 3, {1, 2, 3}, {0.9, 0.8, 0.1, 0.3, 0.7, 0.6}},
                                  {true, 1, {1}, {2}},
                                  {false, 1, {1}, {0.5}},
                                  {false, 1, {1}, {0.2}}};
    gives("nms", NODE(.kind = DET_NODE_NMS), nms, 5,
          &(struct values){true, 2, {3, 3}, {0, 0, 0, 0, 1, 1, 0, 1, 2}}, 1);
    const struct values efficient[2] = {boxes,
                                        {false, 3, {1, 3, 2}, {0.9, 0.3, 0.8, 0.7, 0.1, 0.6}}};
    const struct values four[4] = {{true, 2, {1, 1}, {3}},
                                   {false, 3, {1, 4, 4}, {0, 0, 1, 4, 0, 1, 1, 5, 5, 5, 6, 6}},
                                   {false, 2, {1, 4}, {0.9, 0.7, 0.6, 0}},
                                   {true, 2, {1, 4}, {0, 1, 1, 0}}};
    gives("efficient nms", NODE(.kind = DET_NODE_EFFICIENT_NMS, .efficient_nms = {0.2F, 0.5F, 4}),
          efficient, 2, four, 4);
    const struct values apart[2] = {boxes, {false, 3, {1, 2, 2}, {0}}};
    fails("do not go together",
          NODE(.kind = DET_NODE_EFFICIENT_NMS, .efficient_nms = {0.2F, 0.5F, 4}), apart, 2);
}

/* Names, and who makes what. */
static void programs_are_checked(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct det_program program;
    struct det_array input = {0}, probes[DET_PROBES];
    static char name[] = "a node";
    struct det_node node = {.kind = DET_NODE_EXP, .name = name, .in_count = 1, .out_count = 1};
    int32_t other = -1;
    det_program_init(&program);
    assert_ok(env, det_array_create(env, false, 0, NULL, "input", &input));
    assert_fails(env, DET_STATUS_CORRUPT, "no input",
                 det_program_run(env, &program, NULL, NULL, &input, probes));
    assert_ok(env, det_program_add_value(env, &program, "x", &program.input));
    assert_ok(env, det_program_add_value(env, &program, "y", &other));
    assert_fails(env, DET_STATUS_CORRUPT, "`x` is there twice",
                 det_program_add_value(env, &program, "x", &node.out[0]));
    node.in[0] = other;
    node.out[0] = other;
    assert_fails(env, DET_STATUS_CORRUPT, "nothing has made its input 0, y",
                 det_program_add_node(env, &program, &node));
    node.in[0] = program.input;
    assert_ok(env, det_program_add_node(env, &program, &node));
    assert_fails(env, DET_STATUS_CORRUPT, "its output 0 is made already",
                 det_program_add_node(env, &program, &node));
    program.probes[DET_PROBE_SCORES] = other;
    assert_fails(env, DET_STATUS_CORRUPT, "not made by a sigmoid",
                 det_program_find_logits(env, &program));
    assert_int_equal(other, det_program_find(&program, "y"));
    assert_ok(env, det_program_run(env, &program, NULL, NULL, &input, probes));
    assert_near(1, probes[DET_PROBE_SCORES].floats[0], 0);
    det_array_free(env, &probes[DET_PROBE_SCORES]);
    assert_fails(env, DET_STATUS_CORRUPT, "dimension 1 is -2",
                 det_array_create(env, false, 2, (const int64_t[]){1, -2}, "x", &probes[0]));
    assert_fails(env, DET_STATUS_CORRUPT, "7 dimensions",
                 det_array_create(env, false, 7, NULL, "x", &probes[0]));
    det_array_free(env, &input);
    det_program_free(env, &program);
    test_env_check(&t);
}

/* Against ops/q8.h worked out by hand: sums of -128 .. 127, scales and zeros. */
static void eight_bits(void **state)
{
    (void)state;
    const struct values x = {true, 4, {1, 1, 2, 2}, {3, -128, 127, 10}};
    const struct values w = {true, 4, {1, 1, 2, 1}, {2, -1}};
    const struct values bias = {true, 1, {1}, {5}};
    const struct values scales = {false, 1, {1}, {.25}};
    struct det_node conv = NODE(.kind = DET_NODE_Q8_CONV, .conv = {.stride = 1},
                                .q8 = {.in = {.5f, 3}, .out = {.25f, -2}});
    /* (3 - 3) * 2 + (-128 - 3) * -1 + 5 = 136, halved, -2; (127 - 3) * 2 - 7 + 5 is clamped */
    gives("convolution", conv, (struct values[]){x, w, bias, scales}, 4,
          &(struct values){true, 4, {1, 1, 2, 1}, {66, 121}}, 1);
    conv.conv.act = DET_ACTIVATION_RELU6; /* 6 is 24 steps above -2 */
    gives("with ReLU6", conv, (struct values[]){x, w, bias, scales}, 4,
          &(struct values){true, 4, {1, 1, 2, 1}, {22, 22}}, 1);
    const struct values channels = {true, 4, {1, 1, 2, 1}, {-3, 100}};
    const struct values two = {true, 1, {2}, {0, 1}}, each = {false, 1, {2}, {.5, .125}};
    struct det_node depthwise =
        NODE(.kind = DET_NODE_Q8_CONV, .conv = {.stride = 1, .depthwise = true},
             .q8 = {.in = {1, 0}, .out = {1, 0}});
    gives("depthwise", depthwise, (struct values[]){x, channels, two, each}, 4,
          &(struct values){true, 4, {1, 1, 2, 2}, {-4, -128, -128, 125}}, 1);
    struct det_node add =
        NODE(.kind = DET_NODE_Q8_ADD, .q8 = {.in = {1, 0}, .in2 = {.5f, 10}, .out = {2, 1}});
    gives("sum", add, (struct values[]){x, x}, 2,
          &(struct values){true, 4, {1, 1, 2, 2}, {1, -97, 94, 6}}, 1);
    gives("from floats", NODE(.kind = DET_NODE_Q8_FROM_FLOAT, .q8 = {.out = {.5f, 1}}),
          &(struct values){false, 1, {4}, {.25, -.25, 1e9, -70}}, 1,
          &(struct values){true, 1, {4}, {2, 0, 127, -128}}, 1);
    gives("to floats", NODE(.kind = DET_NODE_Q8_TO_FLOAT, .q8 = {.in = {.5f, 1}}), &x, 1,
          &(struct values){false, 4, {1, 1, 2, 2}, {1, -64.5, 63, 4.5}}, 1);
    gives("resized", NODE(.kind = DET_NODE_RESIZE, .resize.scales = {1, 2, 1, 1}), &x, 1,
          &(struct values){true, 4, {1, 2, 2, 2}, {3, -128, 127, 10, 3, -128, 127, 10}}, 1);
}

/* What a damaged file could ask for. */
static void what_no_8_bits_are_is_told(void **state)
{
    (void)state;
    const struct values x = {true, 4, {1, 1, 1, 1}, {3}}, w = {true, 4, {1, 1, 1, 1}, {2}};
    const struct values bias = {true, 1, {1}, {5}}, scales = {false, 1, {1}, {.25}};
    const struct det_node conv = NODE(.kind = DET_NODE_Q8_CONV, .conv = {.stride = 1},
                                      .q8 = {.in = {.5f, 3}, .out = {.25f, -2}});
    struct values in[4] = {x, w, bias, scales};
    in[0].at[0] = 128;
    fails("the number 128, expected -128 to 127", conv, in, 4);
    in[0].at[0] = -128;
    in[1].at[0] = -128;
    fails("the number -128, expected -127 to 127", conv, in, 4);
    in[1].at[0] = -127;
    in[2].at[0] = (double)(1 << 30) + 1;
    fails("sums could leave 32 bits", conv, in, 4);
    in[2].at[0] = 1 << 30;
    in[3].at[0] = 3e9;
    fails("one step of the sum of channel 0", conv, in, 4);
    in[3].at[0] = (double)NAN;
    fails("one step of the sum of channel 0", conv, in, 4);
    in[3] = (struct values){false, 1, {2}, {1, 1}};
    fails("2 scales for 1 channels", conv, in, 4);
    in[3] = scales;
    struct det_node wrong = conv;
    wrong.q8.in.zero = 128;
    fails("no 8 bits have", wrong, in, 4);
    wrong.q8.in = (struct det_q8_tensor){0, 0};
    fails("no 8 bits have", wrong, in, 4);
    wrong = NODE(.kind = DET_NODE_Q8_ADD, .q8 = {.in = {1, 0}, .in2 = {1, 0}, .out = {1, 0}});
    fails("do not go together", wrong, (struct values[]){x, {true, 4, {1, 1, 1, 2}, {1, 1}}}, 2);
    wrong.q8.out.scale = INFINITY;
    fails("do not go together", wrong, (struct values[]){x, x}, 2);
    fails("no 8 bits have", NODE(.kind = DET_NODE_Q8_TO_FLOAT, .q8 = {.in = {1, -129}}), &x, 1);
    fails("no 8 bits have", NODE(.kind = DET_NODE_Q8_FROM_FLOAT), &scales, 1);
    fails("cannot be interpolated", NODE(.kind = DET_NODE_RESIZE, .resize = {true, {1, 2, 1, 1}}),
          &x, 1);
}

int test_program(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements),
        cmocka_unit_test(elements_of_two),
        cmocka_unit_test(places),
        cmocka_unit_test(images),
        cmocka_unit_test(pictures_are_resized_as_libdet_does),
        cmocka_unit_test(selection),
        cmocka_unit_test(eight_bits),
        cmocka_unit_test(rounding_nodes),
        cmocka_unit_test(what_no_8_bits_are_is_told),
        cmocka_unit_test(programs_are_checked),
    };
    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
