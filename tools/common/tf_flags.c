#include "common/tf_flags.h"

/* --- absl's logging --- */

static const struct option_alias logging[] = {
    {"alsologtostderr", false, NULL, NULL, NULL},
    {"logtostderr", false, NULL, NULL, NULL},
    {"showprefixforinfo", false, NULL, NULL, NULL},
    {"stderrthreshold", true, NULL, NULL, NULL},
    {"verbosity", true, NULL, NULL, NULL},
    {"v", true, NULL, NULL, NULL},
    {"log_dir", true, NULL, "", "a log is kept by the shell: COMMAND 2>&1 | tee FILE"},
    {0},
};

/* --- training and evaluation: one script does both --- */

#define NO_TPU "there is no TPU here: --device says what computes"
#define BY_SET "--set FIELD=VALUE changes a field of the config"
#define ON_TRAIN                                                                                \
    "the eval_input_reader of the config says what is evaluated on: name the training records " \
    "there"
#define ALL_READ  "all examples are read, or the first N: "
#define MANY_HERE "one process trains; --accumulate N makes a step of N batches, as N replicas do"

static const struct option_alias both[] = {
    {"use_tpu", false, NULL, "false", NO_TPU},
    {"tpu_name", true, NULL, "", NO_TPU},
    {"hparams_overrides", true, NULL, "", BY_SET},
    {"hparam_overrides", true, NULL, "", BY_SET},
    {"eval_on_train_data", false, NULL, "false", ON_TRAIN},
    {"eval_training_data", false, NULL, "false", ON_TRAIN},
    /* read with the two above alone */
    {"sample_1_of_n_eval_on_train_examples", true, NULL, NULL, NULL},
    {"max_eval_retries", true, NULL, NULL, NULL},
    {0},
};

static const struct option_alias train[] = {
    {"record_summaries", false, "summaries", NULL, NULL},
    {"train_dir", true, "model_dir", NULL, NULL},
    {"sample_1_of_n_eval_examples", true, NULL, "1", ALL_READ "--eval_max_images N"},
    {"num_workers", true, NULL, "1", MANY_HERE},
    {"num_clones", true, NULL, "1", MANY_HERE},
    {"eval_timeout", true, NULL, NULL, NULL}, /* read with the next alone */
    {"checkpoint_dir", true, NULL, "",
     "evaluates instead of training, which here is: det-eval --pipeline_config_path FILE "
     "--checkpoint_dir DIR --model_dir DIR; or det-train --eval_every N does both"},
    {"run_once", false, NULL, "false", "evaluates once, which here is: det-eval --once"},
    {0},
};

static const struct option_alias eval[] = {
    {"run_once", false, "once", NULL, NULL},
    {"eval_dir", true, "model_dir", NULL, NULL},
    {"sample_1_of_n_eval_examples", true, NULL, "1", ALL_READ "--max_images N"},
    {"record_summaries", false, NULL, "true",
     "curves are written into --model_dir or --checkpoint_dir; none are with --checkpoint FILE "
     "alone"},
    {"num_workers", true, NULL, "1", "one process evaluates; --threads N says by how many threads"},
    /* of the training; an evaluation ends by --eval_timeout */
    {"num_train_steps", true, NULL, NULL, NULL},
    {"checkpoint_every_n", true, NULL, NULL, NULL},
    {0},
};

/* --- export --- */

#define NO_SIDE "the network has no side inputs"

static const struct option_alias export[] = {
    {"input_type", true, NULL, "image_tensor|float_image_tensor",
     "what is exported takes pixels: --input image, nhwc or nchw; files and records are read by "
     "whoever calls it"},
    {"trained_checkpoint_prefix", true, "checkpoint", NULL, NULL},
    {"config_override", true, NULL, "",
     "write a copy of the config and give it as --pipeline_config_path; for the suppression: "
     "--score_threshold, --iou_threshold, --max_detections"},
    {"use_side_inputs", false, NULL, "false", NO_SIDE},
    {"side_input_shapes", true, NULL, "", NO_SIDE},
    {"side_input_types", true, NULL, "", NO_SIDE},
    {"side_input_names", true, NULL, "", NO_SIDE},
    {"input_shape", true, NULL, "", "height and width are the config's, --batch N says how many"},
    {"write_inference_graph", false, NULL, "false",
     "there are no frozen graphs: --format onnx, tflite, tf_checkpoint, ncnn or det"},
    {"ssd_use_regular_nms", false, NULL, "true", "write --tflite_outputs fast_detections"},
    {"ssd_add_postprocessing_op", false, NULL, "true", "write --tflite_outputs raw"},
    {"add_postprocessing_op", false, NULL, "true", "write --tflite_outputs raw"},
    {"centernet_include_keypoints", false, NULL, "false", "there are boxes alone"},
    {"keypoint_label_map_path", true, NULL, "", "there are boxes alone"},
    {0},
};

/* --- data --- */

#define AS_SOURCE "a source has no option: det-data convert train=PATH --to tfrecord --output DIR"
#define AS_FOLDER "--output DIR names a folder; each split becomes DIR/SPLIT.tfrecord there"
#define AS_SPLIT  "--split train=0.9,test=0.1"
#define NO_MASKS  "there are boxes alone"

static const struct option_alias data[] = {
    /* generate_tfrecord.py, partition_dataset.py, xml_to_csv.py */
    {"xml_dir", true, NULL, "", AS_SOURCE},
    {"x", true, NULL, "", AS_SOURCE},
    {"csv_input", true, NULL, "", AS_SOURCE},
    {"csv_path", true, NULL, "",
     "no table is made on the way; det-data convert --to csv writes one"},
    {"c", true, NULL, "", "no table is made on the way; det-data convert --to csv writes one"},
    {"image_dir", true, "images", NULL, NULL},
    {"img_path", true, "images", NULL, NULL},
    {"i", true, NULL, "", "a source has no option; a folder of images is --images DIR"},
    {"imageDir", true, NULL, "", AS_SOURCE},
    {"labels_path", true, "label_map", NULL, NULL},
    {"l", true, "label_map", NULL, NULL},
    {"output_path", true, NULL, "", AS_FOLDER},
    {"o", true, NULL, "", AS_FOLDER},
    {"outputDir", true, "output", NULL, NULL},
    {"ratio", true, NULL, "", AS_SPLIT},
    {"r", true, NULL, "", AS_SPLIT},
    {"xml", false, NULL, NULL, NULL},
    /* create_*_tf_record.py */
    {"label_map_path", true, "label_map", NULL, NULL},
    {"output_dir", true, "output", NULL, NULL},
    {"num_shards", true, "shards", NULL, NULL},
    {"data_dir", true, NULL, "", AS_SOURCE},
    {"annotations_dir", true, NULL, "", AS_SOURCE},
    {"train_image_dir", true, "images", NULL, NULL},
    {"val_image_dir", true, "images", NULL, NULL},
    {"test_image_dir", true, "images", NULL, NULL},
    {"train_annotations_file", true, NULL, "", AS_SOURCE},
    {"val_annotations_file", true, NULL, "", AS_SOURCE},
    {"testdev_annotations_file", true, NULL, "", AS_SOURCE},
    {"include_masks", false, NULL, "false", NO_MASKS},
    {"mask_type", true, NULL, "", NO_MASKS},
    {"set", true, NULL, "",
     "the source's splits stay; SPLIT=SOURCE names another, --split deals out"},
    {"ignore_difficult_instances", false, NULL, "false",
     "difficult objects are kept with their mark; det-eval --honour_ignore leaves them out"},
    {0},
};

const struct option_alias *const tf_flags_of_all[] = {logging, NULL};
const struct option_alias *const tf_flags_of_train[] = {logging, both, train, NULL};
const struct option_alias *const tf_flags_of_eval[] = {logging, both, eval, NULL};
const struct option_alias *const tf_flags_of_export[] = {logging, export, NULL};
const struct option_alias *const tf_flags_of_data[] = {logging, data, NULL};
