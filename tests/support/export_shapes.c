#include "support/export_shapes.h"

static void wide(struct det_model_spec *s)
{
    s->depth_multiplier = 0.35F;
}

static void very_wide(struct det_model_spec *s)
{
    s->depth_multiplier = 1.4F;
}

static void all_levels(struct det_model_spec *s)
{
    s->min_level = 2;
    s->max_level = 8;
}

static void few_levels(struct det_model_spec *s)
{
    s->min_level = s->max_level = 5;
}

static void dense(struct det_model_spec *s)
{
    s->fpn_depthwise = s->head_depthwise = false;
}

static void own_towers(struct det_model_spec *s)
{
    s->share_tower = false;
    s->head_layers = 2;
}

static void no_tower(struct det_model_spec *s)
{
    s->head_layers = 0;
}

static void even_kernel(struct det_model_spec *s)
{
    s->head_kernel = 4;
}

static void point_kernel(struct det_model_spec *s)
{
    s->head_kernel = 1;
}

static void many_classes(struct det_model_spec *s)
{
    s->num_classes = 1000;
}

static void one_class(struct det_model_spec *s)
{
    s->num_classes = 1;
    s->max_per_class = 7;
}

static void few_a_class(struct det_model_spec *s)
{
    s->max_per_class = 3;
}

static void odd_sizes(struct det_model_spec *s)
{
    s->input_height = 131;
    s->input_width = 67;
}

static void keeps_aspect(struct det_model_spec *s)
{
    s->resize_mode = DET_RESIZE_KEEP_ASPECT;
    s->min_dimension = 70;
    s->max_dimension = 110;
    s->input_height = s->input_width = 110;
    s->pad_to_max = true;
}

static void padded(struct det_model_spec *s)
{
    s->input_height = 70;
    s->pad_to_multiple = 32;
}

static void keeps_aspect_padded(struct det_model_spec *s)
{
    keeps_aspect(s);
    s->pad_to_multiple = 32;
}

static void other_anchors(struct det_model_spec *s)
{
    s->scales_per_octave = 3;
    s->aspect_count = 1;
    s->y_scale = 7;
    s->width_scale = 3;
}

const struct export_shape export_shapes[] = {
    {"alpha .35", wide},
    {"alpha 1.4", very_wide},
    {"levels 2 to 8", all_levels},
    {"level 5 alone", few_levels},
    {"dense convolutions", dense},
    {"separate towers", own_towers},
    {"no tower", no_tower},
    {"kernels of 4 x 4", even_kernel},
    {"kernels of 1 x 1", point_kernel},
    {"1000 classes", many_classes},
    {"one class", one_class},
    {"3 detections a class", few_a_class},
    {"131 x 67", odd_sizes},
    {"keep_aspect_ratio", keeps_aspect},
    {"pad_to_multiple", padded},
    {"keep_aspect_ratio, pad_to_multiple", keeps_aspect_padded},
    {"other anchors and box coder", other_anchors},
    {NULL, NULL},
};
