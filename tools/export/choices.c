#include "export/choices.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/number.h"

struct word {
    const char *text;
    int value;
};

static const struct word onnx_words[] = {{"raw", DET_EXPORT_OUTPUTS_RAW},
                                         {"decoded", DET_EXPORT_OUTPUTS_DECODED},
                                         {"nms", DET_EXPORT_OUTPUTS_DETECTIONS},
                                         {"efficient_nms", DET_EXPORT_OUTPUTS_EFFICIENT_NMS},
                                         {0}};
enum { DEFAULT_OPSET = 13 };
static const struct word opset_words[] = {{"13", DEFAULT_OPSET}, {"10", 10}, {0}};
/* Detections with det_export_settings.fast_nms; none of det_export_outputs. */
enum { FAST_DETECTIONS = 100 };
static const struct word tflite_words[] = {{"detections", DET_EXPORT_OUTPUTS_DETECTIONS},
                                           {"fast_detections", FAST_DETECTIONS},
                                           {"raw", DET_EXPORT_OUTPUTS_RAW},
                                           {0}};
static const struct word input_words[] = {
    {"image", DET_EXPORT_INPUT_IMAGE},     {"nhwc", DET_EXPORT_INPUT_FLOAT_NHWC},
    {"nchw", DET_EXPORT_INPUT_FLOAT_NCHW}, {"uint8", DET_EXPORT_INPUT_UINT8},
    {"int8", DET_EXPORT_INPUT_INT8},       {0}};
/* Of the model, not of how it is written: none of det_export_precision. */
enum { EIGHT_BITS = 100 };
static const struct word precision_words[] = {
    {"float32", DET_EXPORT_FLOAT32}, {"float16", DET_EXPORT_FLOAT16}, {"int8", EIGHT_BITS}, {0}};

/* The value of one of `words`; NULL leaves *value as it is. */
static bool take_word(const struct options *options, const char *name, const char *given,
                      const struct word *words, int *value)
{
    char known[128] = "";
    if (given == NULL)
        return true;
    for (; words->text != NULL; words++) {
        if (strcmp(words->text, given) == 0) {
            *value = words->value;
            return true;
        }
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", words->text);
    }
    options_error(options, "--%s: got `%s`, expected one of %s", name, given, known);
    return false;
}

static const det_export_format *find_format(const char *name, size_t length)
{
    const det_export_format *format = NULL;
    for (size_t i = 0; (format = det_export_format_at(i)) != NULL; i++)
        if (strlen(format->name) == length && memcmp(format->name, name, length) == 0)
            return format;
    return NULL;
}

static bool unknown_format(const struct options *options, const char *name, int length)
{
    char known[256] = "";
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ",
                 det_export_format_at(i)->name);
    }
    options_error(options, "--format: `%.*s` is none of %s", length, name, known);
    return false;
}

bool export_choices_have(const struct export_choices *c, const char *format)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->chosen[i]->name, format) == 0)
            return true;
    return false;
}

/* "det,onnx"; what is named twice is written once. */
static bool take_list(struct export_choices *c, const struct options *options, const char *list)
{
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, ",");
        const det_export_format *format = find_format(at, length);
        if (format == NULL)
            return unknown_format(options, at, (int)length);
        if (!export_choices_have(c, format->name) && c->count < MOST_FORMATS)
            c->chosen[c->count++] = format;
        at += length;
        if (*at == '\0')
            return true;
    }
}

static bool take_formats(struct export_choices *c, const struct options *options)
{
    for (size_t i = 0; i < c->formats.count; i++)
        if (!take_list(c, options, c->formats.values[i]))
            return false;
    return c->formats.count > 0 || take_list(c, options, "det");
}

static bool take_batch(struct export_choices *c, const struct options *options)
{
    double number = 0;
    if (c->batch == NULL)
        return true;
    if (strcmp(c->batch, "any") == 0) {
        c->settings.batch = 0;
        return true;
    }
    if (!det_parse_decimal(c->batch, strlen(c->batch), &number) ||
        !(number >= 1 && number <= 65536) || number != floor(number)) {
        options_error(options, "--batch: got `%s`, expected 1 to 65536 or `any`", c->batch);
        return false;
    }
    c->settings.batch = (int32_t)number;
    return true;
}

/* NaN: not given. */
static bool take_share(const struct options *options, const char *name, double given, float *share)
{
    if (isnan(given))
        return true;
    if (!(given >= 0 && given <= 1)) {
        options_error(options, "--%s: got %g, expected 0 to 1", name, given);
        return false;
    }
    *share = (float)given;
    return true;
}

/* An option of a format that is not written would be lost. */
static bool is_used(const struct export_choices *c, const struct options *options,
                    const char *option, const char *given, const char *format)
{
    if (given == NULL || export_choices_have(c, format))
        return true;
    options_error(options, "--%s is for --format %s, which is not asked for", option, format);
    return false;
}

static bool leaves_choice(const det_export_format *format)
{
    return strcmp(format->name, "det") != 0 && strcmp(format->name, "tf_checkpoint") != 0;
}

/* Options that no format would take. */
static bool are_used(const struct export_choices *c, const struct options *options)
{
    const struct {
        const char *option, *given;
    } of_networks[] = {{"input", c->input}, {"precision", c->precision}, {"batch", c->batch}};
    bool any = false;
    for (size_t i = 0; i < c->count; i++)
        any |= leaves_choice(c->chosen[i]);
    for (size_t i = 0; i < sizeof of_networks / sizeof of_networks[0] && !any; i++)
        if (of_networks[i].given != NULL && strcmp(of_networks[i].given, "int8") != 0) {
            options_error(options, "--%s is for the formats of other engines, none is asked for",
                          of_networks[i].option);
            return false;
        }
    return is_used(c, options, "onnx_outputs", c->onnx_outputs, "onnx") &&
           is_used(c, options, "onnx_opset", c->onnx_opset, "onnx") &&
           is_used(c, options, "tflite_outputs", c->tflite_outputs, "tflite");
}

/* Whether all of the formats take a model in 8 bits. */
static bool take_eight_bits(struct export_choices *c, const struct options *options)
{
    const det_export_format *refusing = NULL, *format = NULL;
    char known[128] = "";
    for (size_t i = 0; i < c->count; i++) {
        if (c->chosen[i]->eight_bits == DET_EXPORT_EIGHT_BITS_NONE)
            refusing = c->chosen[i];
        c->whole |= c->chosen[i]->eight_bits == DET_EXPORT_EIGHT_BITS_WHOLE;
    }
    if (refusing == NULL)
        return true;
    for (size_t i = 0; (format = det_export_format_at(i)) != NULL; i++) {
        const size_t used = strlen(known);
        if (format->eight_bits != DET_EXPORT_EIGHT_BITS_NONE)
            snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ",
                     format->name);
    }
    options_error(options, "--precision int8 is for --format %s; %s has no 8 bits", known,
                  refusing->name);
    return false;
}

bool export_choices_take(struct export_choices *c, const struct options *options, int *result)
{
    int onnx = DET_EXPORT_OUTPUTS_AUTO, tflite = DET_EXPORT_OUTPUTS_AUTO, opset = 0;
    int input = DET_EXPORT_INPUT_AUTO, precision = DET_EXPORT_FLOAT32;
    det_export_settings *s = &c->settings;
    *result = OPTIONS_EXIT_USAGE;
    det_export_settings_default(s);
    if (!take_formats(c, options) || !are_used(c, options) ||
        !take_word(options, "onnx_outputs", c->onnx_outputs, onnx_words, &onnx) ||
        !take_word(options, "onnx_opset", c->onnx_opset, opset_words, &opset) ||
        !take_word(options, "tflite_outputs", c->tflite_outputs, tflite_words, &tflite) ||
        !take_word(options, "input", c->input, input_words, &input) ||
        !take_word(options, "precision", c->precision, precision_words, &precision) ||
        !take_batch(c, options) ||
        !take_share(options, "score_threshold", c->score_threshold, &s->score_threshold) ||
        !take_share(options, "iou_threshold", c->iou_threshold, &s->iou_threshold))
        return false;
    if (c->max_detections < 0 || c->max_detections > INT32_MAX) {
        options_error(options, "--max_detections: got %lld, expected at least 0",
                      (long long)c->max_detections);
        return false;
    }
    c->eight_bits = precision == EIGHT_BITS;
    if (c->eight_bits && !take_eight_bits(c, options))
        return false;
    if (c->eight_bits && opset != 0 && opset != DEFAULT_OPSET) {
        options_error(options,
                      "--onnx_opset %s has no 8 bits with a scale for each channel: "
                      "--precision int8 needs %d",
                      c->onnx_opset, DEFAULT_OPSET);
        return false;
    }
    c->onnx = (det_export_outputs)onnx;
    s->onnx_opset = opset;
    s->fast_nms = tflite == FAST_DETECTIONS;
    c->tflite = s->fast_nms ? DET_EXPORT_OUTPUTS_DETECTIONS : (det_export_outputs)tflite;
    s->input = (det_export_input)input;
    s->precision = c->eight_bits ? DET_EXPORT_FLOAT32 : (det_export_precision)precision;
    s->max_detections = (int32_t)c->max_detections;
    s->verify = c->verify;
    *result = 0;
    return true;
}

det_export_settings export_choices_settings(const struct export_choices *c,
                                            const det_export_format *format)
{
    det_export_settings s = c->settings;
    if (strcmp(format->name, "onnx") == 0)
        s.outputs = c->onnx;
    if (strcmp(format->name, "tflite") == 0)
        s.outputs = c->tflite;
    if (!leaves_choice(format)) {
        det_export_settings plain;
        det_export_settings_default(&plain);
        s.input = plain.input;
        s.precision = plain.precision;
        s.batch = plain.batch;
    }
    return s;
}
