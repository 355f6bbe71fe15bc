/* read_ncnn.c: ncnn's .param and .bin as a program: blobs of three dimensions [C, H, W] are values
 * [1, C, H, W], those of two [1, rows, columns]. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "export/ncnn.h"
#include "formats/protowire.h"
#include "support/mem.h"
#include "support/number.h"

enum { MOST_NAMES = 64, NAME_BYTES = 64, MOST_PARAMS = 32, CLIP = 10, CLIP_KEY = -23310 };

struct blob {
    char name[NAME_BYTES];
    int32_t value, dims;
    bool read; /* a blob can be read once */
};

/* A line of .param. */
struct layer {
    char type[NAME_BYTES], name[NAME_BYTES];
    int32_t in_count, out_count;
    char names[MOST_NAMES][NAME_BYTES]; /* of what is read, then of what is made */
    bool set[MOST_PARAMS], taken[MOST_PARAMS];
    double params[MOST_PARAMS];
    double clip[2];
};

struct reader {
    struct det_env *env;
    struct det_program *program;
    const char *at, *end; /* of .param */
    int32_t line;
    const uint8_t *bin;
    size_t bin_bytes, bin_at;
    struct blob *blobs;
    size_t blob_count, blob_capacity;
    int32_t layers, made;
};

static det_status fail(const struct reader *r, det_status status, const char *what)
{
    return det_fail(r->env, status, "line %d: %s", r->line, what);
}

/* --- words of a line --- */

/* The next word of the line; false at its end. */
static bool next_word(struct reader *r, const char **word, size_t *bytes)
{
    while (r->at < r->end && *r->at == ' ')
        r->at++;
    *word = r->at;
    while (r->at < r->end && *r->at != ' ' && *r->at != '\n')
        r->at++;
    *bytes = (size_t)(r->at - *word);
    return *bytes > 0;
}

static det_status take_name(struct reader *r, char name[NAME_BYTES])
{
    const char *word = NULL;
    size_t bytes = 0;
    if (!next_word(r, &word, &bytes))
        return fail(r, DET_STATUS_CORRUPT, "a name is missing");
    if (bytes >= NAME_BYTES)
        return fail(r, DET_STATUS_UNSUPPORTED, "a name of more than 63 bytes");
    memcpy(name, word, bytes);
    name[bytes] = '\0';
    return DET_OK;
}

static bool is_whole(double value, double low, double high)
{
    return value >= low && value <= high && value == floor(value);
}

static det_status take_count(struct reader *r, double most, int32_t *count)
{
    const char *word = NULL;
    size_t bytes = 0;
    double value = 0;
    if (!next_word(r, &word, &bytes) || !det_parse_decimal(word, bytes, &value) ||
        !is_whole(value, 0, most))
        return fail(r, DET_STATUS_CORRUPT, "a count is missing, or out of range");
    *count = (int32_t)value;
    return DET_OK;
}

/* "KEY=VALUE", and the one array that convolutions have, "-23310=2,LOW,HIGH". */
static det_status take_param(struct reader *r, struct layer *layer, const char *word, size_t bytes)
{
    const char *equals = memchr(word, '=', bytes);
    const char *end = word + bytes;
    double key = 0;
    if (equals == NULL || !det_parse_decimal(word, (size_t)(equals - word), &key))
        return fail(r, DET_STATUS_CORRUPT, "a parameter is no KEY=VALUE");
    const char *value = equals + 1;
    const bool clip = key == CLIP_KEY;
    if (!clip && !is_whole(key, 0, MOST_PARAMS - 1))
        return fail(r, DET_STATUS_UNSUPPORTED, "a parameter of another number");
    const int32_t place = clip ? CLIP : (int32_t)key;
    if (layer->set[place])
        return fail(r, DET_STATUS_CORRUPT, "a parameter is there twice");
    layer->set[place] = true;
    if (!clip)
        return det_parse_decimal(value, (size_t)(end - value), &layer->params[place])
                   ? DET_OK
                   : fail(r, DET_STATUS_CORRUPT, "a parameter's value is no number");
    const char *comma = end - value > 2 && memcmp(value, "2,", 2) == 0
                            ? memchr(value + 2, ',', (size_t)(end - value - 2))
                            : NULL;
    if (comma == NULL ||
        !det_parse_decimal(value + 2, (size_t)(comma - value - 2), &layer->clip[0]) ||
        !det_parse_decimal(comma + 1, (size_t)(end - comma - 1), &layer->clip[1]))
        return fail(r, DET_STATUS_UNSUPPORTED, "an array that is not of two numbers");
    return DET_OK;
}

static det_status end_line(struct reader *r)
{
    if (r->at == r->end || *r->at != '\n')
        return fail(r, DET_STATUS_CORRUPT, "does not end");
    r->at++;
    r->line++;
    return DET_OK;
}

static det_status take_layer(struct reader *r, struct layer *layer)
{
    const char *word = NULL;
    size_t bytes = 0;
    *layer = (struct layer){.in_count = 0};
    DET_TRY_RETURN(take_name(r, layer->type));
    DET_TRY_RETURN(take_name(r, layer->name));
    DET_TRY_RETURN(take_count(r, DET_PROGRAM_MOST_INPUTS, &layer->in_count));
    DET_TRY_RETURN(take_count(r, MOST_NAMES - DET_PROGRAM_MOST_INPUTS, &layer->out_count));
    for (int32_t i = 0; i < layer->in_count + layer->out_count; i++)
        DET_TRY_RETURN(take_name(r, layer->names[i]));
    while (next_word(r, &word, &bytes))
        DET_TRY_RETURN(take_param(r, layer, word, bytes));
    return DET_OK;
}

/* A parameter that has to be there. What is not taken at the end is not supported. */
static det_status param(struct reader *r, struct layer *layer, int32_t key, double low, double high,
                        int32_t *value)
{
    char text[64];
    snprintf(text, sizeof text, "parameter %d is missing, or out of range", key);
    if (!layer->set[key] || !is_whole(layer->params[key], low, high))
        return fail(r, DET_STATUS_UNSUPPORTED, text);
    layer->taken[key] = true;
    *value = (int32_t)layer->params[key];
    return DET_OK;
}

static det_status fixed(struct reader *r, struct layer *layer, int32_t key, int32_t value)
{
    int32_t got = 0;
    return param(r, layer, key, value, value, &got);
}

static det_status all_taken(struct reader *r, const struct layer *layer)
{
    for (int32_t i = 0; i < MOST_PARAMS; i++)
        if (layer->set[i] && !layer->taken[i])
            return fail(r, DET_STATUS_UNSUPPORTED, "a parameter that is not known here");
    return DET_OK;
}

/* --- blobs --- */

static det_status add_blob(struct reader *r, const char *name, int32_t value, int32_t dims)
{
    for (size_t i = 0; i < r->blob_count; i++)
        if (strcmp(r->blobs[i].name, name) == 0)
            return fail(r, DET_STATUS_CORRUPT, "a blob is made twice");
    DET_TRY_RETURN(det_grow(r->env, &r->blobs, &r->blob_capacity, r->blob_count + 1,
                            sizeof *r->blobs, "ncnn blobs"));
    struct blob *blob = &r->blobs[r->blob_count++];
    *blob = (struct blob){.value = value, .dims = dims};
    memcpy(blob->name, name, strlen(name) + 1);
    return DET_OK;
}

static det_status take_blob(struct reader *r, const char *name, struct blob *taken)
{
    for (size_t i = 0; i < r->blob_count; i++)
        if (strcmp(r->blobs[i].name, name) == 0) {
            if (r->blobs[i].read)
                return fail(r, DET_STATUS_CORRUPT, "a blob is read twice, without a Split");
            r->blobs[i].read = true;
            *taken = r->blobs[i];
            return DET_OK;
        }
    return fail(r, DET_STATUS_CORRUPT, "a blob that nothing has made is read");
}

/* The layer's inputs become the node's. */
static det_status take_inputs(struct reader *r, const struct layer *layer, int32_t count,
                              struct det_node *node, int32_t *dims)
{
    if (count >= 0 && (layer->in_count != count || layer->out_count != 1))
        return fail(r, DET_STATUS_CORRUPT, "another number of blobs than the layer has");
    for (int32_t i = 0; i < layer->in_count; i++) {
        struct blob blob = {{0}, 0, 0, false};
        DET_TRY_RETURN(take_blob(r, layer->names[i], &blob));
        if (i > 0 && blob.dims != *dims)
            return fail(r, DET_STATUS_CORRUPT, "blobs of two shapes");
        node->in[node->in_count++] = blob.value;
        *dims = blob.dims;
    }
    return DET_OK;
}

static det_status add_node(struct reader *r, struct layer *layer, struct det_node *node,
                           int32_t dims)
{
    const char *name = layer->names[layer->in_count];
    DET_TRY_RETURN(all_taken(r, layer));
    DET_TRY_RETURN(det_program_add_value(r->env, r->program, name, &node->out[0]));
    node->out_count = 1;
    node->name = layer->name;
    DET_TRY_RETURN(det_program_add_node(r->env, r->program, node));
    return add_blob(r, name, node->out[0], dims);
}

/* --- weights --- */

static det_status take_u32(struct reader *r, uint32_t *value)
{
    if (r->bin_bytes - r->bin_at < 4)
        return fail(r, DET_STATUS_CORRUPT, "the weights end before the layer's");
    *value = 0;
    for (int i = 0; i < 4; i++)
        *value |= (uint32_t)r->bin[r->bin_at++] << (8 * i);
    return DET_OK;
}

static det_status take_float(struct reader *r, float *value)
{
    uint32_t bits = 0;
    DET_TRY_RETURN(take_u32(r, &bits));
    *value = det_wire_float(bits);
    return DET_OK;
}

/* Values [out][in][taps] into [taps][in][out]. */
static det_status take_kernel(struct reader *r, size_t taps, size_t in, size_t out, float *to)
{
    uint32_t flag = 0, both = 0;
    DET_TRY_RETURN(take_u32(r, &flag));
    if (flag != 0 && flag != DET_NCNN_HALVES)
        return fail(r, DET_STATUS_UNSUPPORTED, "weights that are neither float32 nor float16");
    for (size_t i = 0; i < taps * in * out; i++) {
        float *place = &to[(i % taps * in + i / taps % in) * out + i / taps / in];
        if (flag == 0) {
            DET_TRY_RETURN(take_float(r, place));
        } else {
            if (i % 2 == 0)
                DET_TRY_RETURN(take_u32(r, &both));
            *place = det_half_to_float((uint16_t)(i % 2 == 0 ? both : both >> 16));
        }
    }
    return DET_OK;
}

static det_status add_floats(struct reader *r, const struct layer *layer, const char *what,
                             int32_t dims, const int64_t *shape, struct det_array **array,
                             int32_t *value)
{
    char name[2 * NAME_BYTES];
    size_t count = 1;
    bool fits = true;
    for (int32_t d = 0; d < dims; d++)
        fits = fits && det_size_mul(count, (size_t)shape[d], &count);
    /* Not before it is known that the file has them: halves take 2 bytes. */
    if (!fits || count / 2 > r->bin_bytes - r->bin_at)
        return fail(r, DET_STATUS_CORRUPT, "the weights end before the layer's");
    snprintf(name, sizeof name, "%s/%s", layer->name, what);
    DET_TRY_RETURN(det_program_add_constant(r->env, r->program, name, false, dims, shape, value));
    *array = &r->program->values[*value].array;
    return DET_OK;
}

/* --- layers --- */

static det_status read_input(struct reader *r, struct layer *layer)
{
    int32_t shape[3] = {0};
    for (int32_t d = 0; d < 3; d++)
        DET_TRY_RETURN(param(r, layer, 2 - d, 1, 1 << 20, &shape[d]));
    if (layer->in_count != 0 || layer->out_count != 1 || r->program->input >= 0)
        return fail(r, DET_STATUS_CORRUPT, "another input");
    DET_TRY_RETURN(all_taken(r, layer));
    DET_TRY_RETURN(det_program_add_value(r->env, r->program, layer->names[0], &r->program->input));
    r->program->input_dims = 4;
    r->program->input_shape[0] = 1;
    for (int32_t d = 0; d < 3; d++)
        r->program->input_shape[d + 1] = shape[d];
    return add_blob(r, layer->names[0], r->program->input, 3);
}

static det_status read_kernel(struct reader *r, struct layer *layer, struct det_node *node,
                              const int32_t size[2], int32_t out)
{
    int32_t count = 0, bias = 0, group = 0;
    struct det_array *array = NULL;
    const int64_t taps = (int64_t)size[0] * size[1];
    const bool depthwise = node->conv.depthwise;
    DET_TRY_RETURN(param(r, layer, 6, 1, INT32_MAX, &count));
    DET_TRY_RETURN(param(r, layer, 5, 0, 1, &bias));
    if (depthwise)
        DET_TRY_RETURN(param(r, layer, 7, out, out, &group));
    const int64_t row = taps * out;
    const int64_t in = depthwise ? 1 : row > 0 ? count / row : 0;
    if (in < 1 || row * in != count)
        return fail(r, DET_STATUS_CORRUPT, "a number of weights that the kernel has not");
    const int64_t dense[4] = {size[0], size[1], in, out}, deep[4] = {size[0], size[1], out, 1};
    DET_TRY_RETURN(add_floats(r, layer, "weights", 4, depthwise ? deep : dense, &array,
                              &node->in[node->in_count++]));
    DET_TRY_RETURN(take_kernel(r, (size_t)taps, (size_t)in, (size_t)out, array->floats));
    if (!bias)
        return DET_OK;
    const int64_t shape[1] = {out};
    DET_TRY_RETURN(add_floats(r, layer, "bias", 1, shape, &array, &node->in[node->in_count++]));
    for (size_t i = 0; i < array->count; i++)
        DET_TRY_RETURN(take_float(r, &array->floats[i]));
    return DET_OK;
}

static det_status read_convolution(struct reader *r, struct layer *layer)
{
    const bool depthwise = strcmp(layer->type, "ConvolutionDepthWise") == 0;
    struct det_node node = {.kind = DET_NODE_CONV,
                            .conv = {.channels_first = true, .depthwise = depthwise}};
    int32_t size[2] = {0}, out = 0, dims = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    if (dims != 3)
        return fail(r, DET_STATUS_CORRUPT, "a convolution of a blob of two dimensions");
    DET_TRY_RETURN(param(r, layer, 0, 1, 1 << 20, &out));
    DET_TRY_RETURN(param(r, layer, 1, 1, 255, &size[1]));
    DET_TRY_RETURN(param(r, layer, 11, 1, 255, &size[0]));
    DET_TRY_RETURN(param(r, layer, 3, 1, 255, &node.conv.stride));
    DET_TRY_RETURN(param(r, layer, 4, 0, 255, &node.conv.pad_left));
    DET_TRY_RETURN(param(r, layer, 14, 0, 255, &node.conv.pad_top));
    DET_TRY_RETURN(param(r, layer, 15, 0, 255, &node.conv.pad_right));
    DET_TRY_RETURN(param(r, layer, 16, 0, 255, &node.conv.pad_bottom));
    if (layer->set[9]) {
        DET_TRY_RETURN(fixed(r, layer, 9, 3));
        if (!layer->set[CLIP] || layer->clip[0] != 0 || layer->clip[1] != 6)
            return fail(r, DET_STATUS_UNSUPPORTED, "an activation that is not ReLU6");
        layer->taken[CLIP] = true;
        node.conv.act = DET_ACTIVATION_RELU6;
    }
    DET_TRY_RETURN(read_kernel(r, layer, &node, size, out));
    return add_node(r, layer, &node, 3);
}

static det_status read_add(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_ADD};
    int32_t dims = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 2, &node, &dims));
    DET_TRY_RETURN(fixed(r, layer, 0, 0));
    return add_node(r, layer, &node, dims);
}

static det_status read_interp(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_RESIZE, .resize = {.scales = {1, 1, 2, 2}}};
    int32_t dims = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    for (int32_t key = 0; key < 3; key++) /* nearest, twice, twice */
        DET_TRY_RETURN(fixed(r, layer, key, key == 0 ? 1 : 2));
    if (dims != 3)
        return fail(r, DET_STATUS_CORRUPT, "a blob of two dimensions is enlarged");
    return add_node(r, layer, &node, dims);
}

/* Offsets 0 to 2 and sizes 3 to 5 of width, height, channels. */
static det_status read_crop(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_SLICE};
    int32_t dims = 0, offset = 0, size = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    node.slice.end[0] = 1;
    for (int32_t d = 0; d < 3; d++) {
        DET_TRY_RETURN(param(r, layer, d, 0, 1 << 20, &offset));
        DET_TRY_RETURN(param(r, layer, 3 + d, 1, 1 << 24, &size));
        if (d < dims) {
            node.slice.begin[dims - d] = offset;
            node.slice.end[dims - d] = (int64_t)offset + size;
        } else if (offset != 0 || size != 1) {
            return fail(r, DET_STATUS_CORRUPT, "channels of a blob of two dimensions");
        }
    }
    return add_node(r, layer, &node, dims);
}

/* Channels become the innermost. */
static det_status read_permute(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_TRANSPOSE, .order = {0, 2, 3, 1}};
    int32_t dims = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    DET_TRY_RETURN(fixed(r, layer, 0, 3));
    if (dims != 3)
        return fail(r, DET_STATUS_CORRUPT, "a blob of two dimensions is turned");
    return add_node(r, layer, &node, dims);
}

static det_status read_reshape(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_RESHAPE};
    struct det_array *array = NULL;
    char name[2 * NAME_BYTES];
    const int64_t three[1] = {3};
    int32_t dims = 0, columns = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    DET_TRY_RETURN(param(r, layer, 0, 1, 1 << 20, &columns));
    DET_TRY_RETURN(fixed(r, layer, 1, -1));
    snprintf(name, sizeof name, "%s/shape", layer->name);
    DET_TRY_RETURN(det_program_add_constant(r->env, r->program, name, true, 1, three,
                                            &node.in[node.in_count++]));
    array = &r->program->values[node.in[1]].array;
    array->wholes[0] = 1;
    array->wholes[1] = -1;
    array->wholes[2] = columns;
    return add_node(r, layer, &node, 2);
}

static det_status read_concat(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_CONCAT, .axis = 1};
    int32_t dims = 0;
    if (layer->in_count < 1 || layer->out_count != 1)
        return fail(r, DET_STATUS_CORRUPT, "another number of blobs than the layer has");
    DET_TRY_RETURN(take_inputs(r, layer, -1, &node, &dims));
    DET_TRY_RETURN(fixed(r, layer, 0, 0));
    return add_node(r, layer, &node, dims);
}

static det_status read_sigmoid(struct reader *r, struct layer *layer)
{
    struct det_node node = {.kind = DET_NODE_SIGMOID};
    int32_t dims = 0;
    DET_TRY_RETURN(take_inputs(r, layer, 1, &node, &dims));
    return add_node(r, layer, &node, dims);
}

/* Other names for one value. */
static det_status read_split(struct reader *r, struct layer *layer)
{
    struct blob from = {{0}, 0, 0, false};
    if (layer->in_count != 1 || layer->out_count < 1)
        return fail(r, DET_STATUS_CORRUPT, "another number of blobs than the layer has");
    DET_TRY_RETURN(all_taken(r, layer));
    DET_TRY_RETURN(take_blob(r, layer->names[0], &from));
    for (int32_t i = 0; i < layer->out_count; i++)
        DET_TRY_RETURN(add_blob(r, layer->names[1 + i], from.value, from.dims));
    return DET_OK;
}

static det_status read_memory(struct reader *r, struct layer *layer)
{
    struct det_array *array = NULL;
    int32_t columns = 0, rows = 0, value = 0;
    if (layer->in_count != 0 || layer->out_count != 1)
        return fail(r, DET_STATUS_CORRUPT, "another number of blobs than the layer has");
    DET_TRY_RETURN(param(r, layer, 0, 1, 1 << 20, &columns));
    DET_TRY_RETURN(param(r, layer, 1, 1, 1 << 28, &rows));
    DET_TRY_RETURN(all_taken(r, layer));
    const int64_t shape[2] = {rows, columns};
    DET_TRY_RETURN(add_floats(r, layer, "data", 2, shape, &array, &value));
    for (size_t i = 0; i < array->count; i++)
        DET_TRY_RETURN(take_float(r, &array->floats[i]));
    return add_blob(r, layer->names[0], value, 2);
}

static const struct {
    const char *type;
    det_status (*read)(struct reader *r, struct layer *layer);
} types[] = {
    {"Input", read_input},
    {"Convolution", read_convolution},
    {"ConvolutionDepthWise", read_convolution},
    {"BinaryOp", read_add},
    {"Interp", read_interp},
    {"Crop", read_crop},
    {"Permute", read_permute},
    {"Reshape", read_reshape},
    {"Concat", read_concat},
    {"Sigmoid", read_sigmoid},
    {"Split", read_split},
    {"MemoryData", read_memory},
};

static det_status read_layer(struct reader *r, struct layer *layer)
{
    char text[NAME_BYTES + 32];
    DET_TRY_RETURN(take_layer(r, layer));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].type, layer->type) == 0) {
            DET_TRY_RETURN(types[i].read(r, layer));
            r->made += layer->out_count;
            return end_line(r);
        }
    snprintf(text, sizeof text, "a layer `%s`", layer->type);
    return fail(r, DET_STATUS_UNSUPPORTED, text);
}

static det_status read_header(struct reader *r, int32_t *blobs)
{
    static const char magic[] = DET_NCNN_MAGIC "\n";
    r->line = 1;
    if ((size_t)(r->end - r->at) < sizeof magic - 1 || memcmp(r->at, magic, sizeof magic - 1) != 0)
        return fail(r, DET_STATUS_CORRUPT, "is no .param of ncnn");
    r->at += sizeof magic - 1;
    r->line = 2;
    DET_TRY_RETURN(take_count(r, 1 << 20, &r->layers));
    DET_TRY_RETURN(take_count(r, 1 << 20, blobs));
    return end_line(r);
}

static det_status find_output(struct reader *r, const char *name, int32_t *value)
{
    struct blob blob = {{0}, 0, 0, false};
    DET_TRY_RETURN(take_blob(r, name, &blob));
    *value = blob.value;
    return DET_OK;
}

static det_status read_all(struct reader *r, struct layer *layer)
{
    int32_t blobs = 0, anchors = 0;
    DET_TRY_RETURN(read_header(r, &blobs));
    for (int32_t i = 0; i < r->layers; i++)
        DET_TRY_RETURN(read_layer(r, layer));
    if (r->at != r->end || blobs != r->made || r->program->input < 0)
        return fail(r, DET_STATUS_CORRUPT, "other layers or blobs than the header counts");
    if (r->bin_at != r->bin_bytes)
        return fail(r, DET_STATUS_CORRUPT, "there are weights that no layer has");
    DET_TRY_RETURN(find_output(r, "encodings", &r->program->probes[DET_PROBE_ENCODINGS]));
    DET_TRY_RETURN(find_output(r, "scores", &r->program->probes[DET_PROBE_SCORES]));
    DET_TRY_RETURN(find_output(r, "anchors", &anchors));
    return det_program_find_logits(r->env, r->program);
}

det_status det_read_ncnn(struct det_env *env, const struct det_export *exported,
                         struct det_program *program)
{
    const struct det_text *text = &exported->files[DET_NCNN_PARAM].data;
    const struct det_text *bin = &exported->files[DET_NCNN_BIN].data;
    struct reader r = {.env = env,
                       .program = program,
                       .at = text->data,
                       .end = text->data == NULL ? NULL : text->data + text->length,
                       .bin = (const uint8_t *)bin->data,
                       .bin_bytes = bin->length};
    struct layer *layer = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &layer, 1, sizeof *layer, "ncnn layer"));
    status = read_all(&r, layer);
    if (status != DET_OK)
        det_fail_prefix(env, status, "%s", exported->files[DET_NCNN_PARAM].name);
fail:
    det_free(env, &layer);
    det_free(env, &r.blobs);
    return status;
}

det_status det_prove_ncnn_anchors(struct det_env *env, const struct det_export_job *job,
                                  struct det_export *exported)
{
    const size_t count = (size_t)job->inference.anchor_count * 4;
    struct det_program program;
    det_status status = DET_OK;
    det_program_init(&program);
    DET_TRY(det_read_ncnn(env, exported, &program));
    const int32_t value = det_program_find(&program, "anchors/data");
    if (value < 0 || program.values[value].array.count != count ||
        memcmp(program.values[value].array.floats, job->inference.anchors, count * sizeof(float)) !=
            0)
        DET_TRY(det_fail(env, DET_STATUS_MISMATCH, "%s: other anchors than the network's",
                         exported->files[DET_NCNN_PARAM].name));
    exported->proof.tensors++;
fail:
    det_program_free(env, &program);
    return status;
}
