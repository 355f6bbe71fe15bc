/* pipeline_schema_train.c: the tables of train_config, eval_config and the input readers; see
 * pipeline_schema.c. */
#include "formats/pipeline_config.h"
#include "formats/pipeline_schema.h"

/* ---- optimizer.proto ---- */

#define BASE struct det_learning_rate_config
#define RATE(field, member, value)                                                             \
    {                                                                                          \
        DET_FIELD(field, FLOAT), DET_AT(as.member), .fallback = (value), .low = 0, .high = 1e6 \
    }
#define STEPS(field, member, value, least)                                              \
    {                                                                                   \
        DET_FIELD(field, UINT), DET_AT(as.member), .fallback = (value), .low = (least), \
                                                   .high = 4294967295.                  \
    }
static const struct det_schema_field constant_rate[] = {
    RATE(learning_rate, constant.learning_rate, .002)};
static const struct det_schema_field exponential_rate[] = {
    RATE(initial_learning_rate, exponential_decay.initial_learning_rate, .002),
    STEPS(decay_steps, exponential_decay.decay_steps, 4000000, 1),
    RATE(decay_factor, exponential_decay.decay_factor, .95),
    {DET_FIELD(staircase, BOOL), DET_AT(as.exponential_decay.staircase), .fallback = 1},
    RATE(burnin_learning_rate, exponential_decay.burnin_learning_rate, 0),
    STEPS(burnin_steps, exponential_decay.burnin_steps, 0, 0),
    RATE(min_learning_rate, exponential_decay.min_learning_rate, 0),
};
static const struct det_schema_field cosine_rate[] = {
    RATE(learning_rate_base, cosine_decay.learning_rate_base, .002),
    STEPS(total_steps, cosine_decay.total_steps, 4000000, 1),
    RATE(warmup_learning_rate, cosine_decay.warmup_learning_rate, .0002),
    STEPS(warmup_steps, cosine_decay.warmup_steps, 10000, 0),
    STEPS(hold_base_rate_steps, cosine_decay.hold_base_rate_steps, 0, 0),
};
static const struct det_schema_message constant_rate_message =
    DET_TABLE("ConstantLearningRate", constant_rate);
static const struct det_schema_message exponential_rate_message =
    DET_TABLE("ExponentialDecayLearningRate", exponential_rate);
static const struct det_schema_message cosine_rate_message =
    DET_TABLE("CosineDecayLearningRate", cosine_rate);
#undef BASE
#define BASE struct det_learning_rate_step
static const struct det_schema_field rate_step[] = {
    {DET_FIELD(step, UINT), DET_AT(step)},
    DET_FLOAT(learning_rate, .002, 0, 1e6),
};
static const struct det_schema_message rate_step_message = {
    .name = "LearningRateSchedule",
    .size = sizeof(BASE),
    .fields = rate_step,
    .count = sizeof rate_step / sizeof rate_step[0],
    .position_offset = offsetof(BASE, position),
    .has_position = true,
};
#undef BASE
#define BASE struct det_learning_rate_config
static const struct det_schema_field manual_rate[] = {
    RATE(initial_learning_rate, manual_step.initial_learning_rate, .002),
    {DET_FIELD(schedule, MESSAGE), DET_AT(as.manual_step.count), .repeated = true,
     .message = &rate_step_message},
    {DET_FIELD(warmup, BOOL), DET_AT(as.manual_step.warmup)},
};
static const struct det_schema_message manual_rate_message =
    DET_TABLE("ManualStepLearningRate", manual_rate);
#define SCHEDULE(field, which, table)                                                         \
    {                                                                                         \
        DET_FIELD(field, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_LEARNING_RATE_##which), \
                                   .message = &(table)                                        \
    }
static const struct det_schema_field learning_rate[] = {
    SCHEDULE(constant_learning_rate, CONSTANT, constant_rate_message),
    SCHEDULE(exponential_decay_learning_rate, EXPONENTIAL_DECAY, exponential_rate_message),
    SCHEDULE(manual_step_learning_rate, MANUAL_STEP, manual_rate_message),
    SCHEDULE(cosine_decay_learning_rate, COSINE_DECAY, cosine_rate_message),
};
static const struct det_schema_message learning_rate_message =
    DET_TABLE("LearningRate", learning_rate);
#undef BASE

#define BASE struct det_optimizer_config
static const struct det_schema_field rms_prop[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(momentum_optimizer_value, .9, 0, 1),
    DET_FLOAT(decay, .9, 0, 1),
    DET_FLOAT(epsilon, 1, 1e-12, 1e6),
};
static const struct det_schema_field momentum[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(momentum_optimizer_value, .9, 0, 1),
};
static const struct det_schema_field adam[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(epsilon, 1e-8, 1e-12, 1e6),
};
static const struct det_schema_message rms_prop_message = DET_TABLE("RMSPropOptimizer", rms_prop);
static const struct det_schema_message momentum_message = DET_TABLE("MomentumOptimizer", momentum);
static const struct det_schema_message adam_message = DET_TABLE("AdamOptimizer", adam);
static const struct det_schema_field optimizer[] = {
    {DET_FIELD(rms_prop_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_RMS_PROP),
     .message = &rms_prop_message},
    {DET_FIELD(momentum_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_MOMENTUM),
     .message = &momentum_message},
    {DET_FIELD(adam_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_ADAM),
     .message = &adam_message},
    DET_BOOL(use_moving_average, 1),
    DET_FLOAT(moving_average_decay, .9999, 0, 1),
};
static const struct det_schema_message optimizer_message = DET_TABLE("Optimizer", optimizer);
#undef BASE

/* ---- train.proto ---- */

#define BASE     struct det_train_config
#define REPLICAS "there is one replica"
#define QUEUES   "sizes of TensorFlow's own queues"
#define TF1_LOOP "read by the API's loop of TF1 only"
static const struct det_schema_word checkpoint_versions[] = {
    {"UNKNOWN", 0}, {"V1", 1}, {"V2", 2}, {NULL, 0}};
static const struct det_schema_field train[] = {
    DET_UINT(batch_size, 32, 1, 1000000),
    {DET_FIELD(data_augmentation_options, MESSAGE), DET_AT(augmentation_count), .repeated = true,
     .message = &det_schema_augmentation},
    DET_HARMLESS(sync_replicas, BOOL, REPLICAS),
    DET_HARMLESS(keep_checkpoint_every_n_hours, FLOAT, TF1_LOOP),
    DET_MESSAGE(optimizer, optimizer_message),
    DET_FLOAT(gradient_clipping_by_norm, 0, 0, 3e38),
    DET_STRING(fine_tune_checkpoint, ""),
    DET_STRING(fine_tune_checkpoint_type, ""),
    {DET_FIELD(fine_tune_checkpoint_version, ENUM), .use = DET_SCHEMA_HARMLESS,
     .words = checkpoint_versions, .reason = "the checkpoint's own files tell"},
    DET_BOOL(from_detection_checkpoint, 0),
    DET_TOLD(load_all_detection_checkpoint_vars, BOOL, 0,
             "fine_tune_checkpoint_type says what is loaded"),
    DET_HARMLESS(run_fine_tune_checkpoint_dummy_computation, BOOL,
                 "the network is built before anything is loaded"),
    {DET_FIELD(num_steps, UINT), DET_AT(num_steps)},
    DET_HARMLESS(startup_delay_steps, FLOAT, REPLICAS),
    DET_TOLD(bias_grad_multiplier, FLOAT, 0, TF1_LOOP),
    DET_LIST(update_trainable_variables, STRING, update_trainable_variables),
    DET_LIST(freeze_variables, STRING, freeze_variables),
    DET_HARMLESS(replicas_to_aggregate, INT, REPLICAS),
    DET_HARMLESS(batch_queue_capacity, INT, QUEUES),
    DET_HARMLESS(num_batch_queue_threads, INT, QUEUES),
    DET_HARMLESS(prefetch_queue_capacity, INT, QUEUES),
    DET_REFUSED(merge_multiple_label_boxes, BOOL, 0, "a box has one class"),
    DET_REFUSED(use_multiclass_scores, BOOL, 0, "a box has one class"),
    DET_BOOL(add_regularization_loss, 1),
    DET_HARMLESS(max_number_of_boxes, INT, "the API reads that of train_input_reader"),
    DET_HARMLESS(unpad_groundtruth_tensors, BOOL,
                 "ground truth is never padded here; padding has no weight"),
    DET_HARMLESS(retain_original_images, BOOL, "pictures for TensorBoard"),
    DET_HARMLESS(use_bfloat16, BOOL, "only read on TPUs"),
    DET_HARMLESS(summarize_gradients, BOOL, "histograms for TensorBoard"),
};
const struct det_schema_message det_schema_train = DET_TABLE("TrainConfig", train);
#undef BASE

/* ---- eval.proto ---- */

#define BASE      struct det_eval_config
#define KEYPOINTS "keypoints are not predicted"
static const struct det_schema_field eval[] = {
    DET_HARMLESS(batch_size, UINT, "images are evaluated one by one"),
    {DET_FIELD(num_visualizations, UINT), DET_AT(num_visualizations), .fallback = 10},
    DET_HARMLESS(num_examples, UINT, "all of the input is evaluated, as the API does"),
    DET_HARMLESS(eval_interval_secs, UINT,
                 "how often to look for a checkpoint is an option of the tool"),
    DET_HARMLESS(max_evals, UINT, TF1_LOOP),
    DET_HARMLESS(save_graph, BOOL, TF1_LOOP),
    DET_HARMLESS(visualization_export_dir, STRING, TF1_LOOP),
    DET_HARMLESS(eval_master, STRING, TF1_LOOP),
    DET_LIST(metrics_set, STRING, metrics_set),
    DET_HARMLESS(export_path, STRING, TF1_LOOP),
    DET_REFUSED(ignore_groundtruth, BOOL, 0, "evaluation needs ground truth; use det-detect"),
    DET_BOOL(use_moving_averages, 0),
    DET_REFUSED(eval_instance_masks, BOOL, 0, "masks are not predicted"),
    DET_FLOAT(min_score_threshold, .5, 0, 1),
    DET_INT(max_num_boxes_to_visualize, 20, 0, 1000000),
    DET_HARMLESS(skip_scores, BOOL, TF1_LOOP),
    DET_HARMLESS(skip_labels, BOOL, TF1_LOOP),
    DET_HARMLESS(visualize_groundtruth_boxes, BOOL, TF1_LOOP),
    DET_HARMLESS(groundtruth_box_visualization_color, STRING, TF1_LOOP),
    DET_HARMLESS(keep_image_id_for_visualization_export, BOOL, TF1_LOOP),
    DET_HARMLESS(retain_original_images, BOOL, "pictures are decoded again when they are needed"),
    DET_HARMLESS(include_metrics_per_category, BOOL, "the classes' figures are always given"),
    DET_HARMLESS(all_metrics_per_category, BOOL, "the classes' figures are always given"),
    DET_REFUSED(recall_lower_bound, FLOAT, 0, "the COCO metrics use all recalls"),
    DET_REFUSED(recall_upper_bound, FLOAT, 1, "the COCO metrics use all recalls"),
    DET_HARMLESS(retain_original_image_additional_channels, BOOL,
                 "there are no additional channels"),
    DET_REFUSED(force_no_resize, BOOL, 0, "the network has one input size"),
    DET_HARMLESS(use_dummy_loss_in_eval, BOOL, "leaves out the loss, never the metrics"),
    {DET_FIELD(keypoint_edge, MESSAGE), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = KEYPOINTS},
    {DET_FIELD(parameterized_metric, MESSAGE), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = KEYPOINTS},
    {DET_FIELD(super_categories, MESSAGE), .repeated = true, .use = DET_SCHEMA_TOLD,
     .reason = "figures are given for each class and for all"},
    DET_REFUSED(skip_predictions_for_unlabeled_class, BOOL, 0, "all predictions count"),
    DET_HARMLESS(image_classes_field_map_empty_to_ones, BOOL,
                 "labels of whole images are not read"),
};
const struct det_schema_message det_schema_eval = DET_TABLE("EvalConfig", eval);
#undef BASE

/* ---- input_reader.proto ---- */

#define BASE struct det_input_reader_config
static const struct det_schema_field tf_record[] = {DET_LIST(input_path, STRING, input_paths)};
static const struct det_schema_message tf_record_message =
    DET_TABLE("TFRecordInputReader", tf_record);
static const struct det_schema_word mask_types[] = {
    {"DEFAULT", 0}, {"NUMERICAL_MASKS", 1}, {"PNG_MASKS", 2}, {NULL, 0}};
static const struct det_schema_word input_types[] = {
    {"TF_EXAMPLE", 1}, {"INPUT_DEFAULT", 1}, {"TF_SEQUENCE_EXAMPLE", 2}, {NULL, 0}};
#define LOADER    "parallel work of TensorFlow's loader"
#define WHOLE_SET "the order is drawn over the whole set"
#define NOT_READ  "nothing of this network reads them"
#define SEQUENCES "only read of TF_SEQUENCE_EXAMPLE"
static const struct det_schema_field input_reader[] = {
    DET_STRING(name, ""),
    DET_STRING(label_map_path, ""),
    DET_BOOL(shuffle, 1),
    DET_HARMLESS(shuffle_buffer_size, UINT, WHOLE_SET),
    DET_HARMLESS(filenames_shuffle_buffer_size, UINT, WHOLE_SET),
    DET_HARMLESS(num_epochs, UINT, "training repeats its input for ever, evaluation reads it once"),
    DET_REFUSED(sample_1_of_n_examples, UINT, 1, "all records are read"),
    DET_HARMLESS(num_readers, UINT, LOADER),
    DET_HARMLESS(num_parallel_batches, UINT, LOADER),
    DET_HARMLESS(num_prefetch_batches, INT, LOADER),
    DET_HARMLESS(queue_capacity, UINT, LOADER),
    DET_HARMLESS(min_after_dequeue, UINT, LOADER),
    DET_HARMLESS(read_block_length, UINT, LOADER),
    DET_HARMLESS(prefetch_size, UINT, LOADER),
    DET_HARMLESS(num_parallel_map_calls, UINT, LOADER),
    DET_HARMLESS(drop_remainder, BOOL, "training repeats its input, no batch is left over"),
    DET_REFUSED(num_additional_channels, INT, 0, "images have three channels"),
    DET_HARMLESS(num_keypoints, UINT, NOT_READ),
    {DET_FIELD(keypoint_type_weight, FLOAT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = NOT_READ},
    DET_INT(max_number_of_boxes, 100, 0, 1000000),
    DET_HARMLESS(load_multiclass_scores, BOOL, "only read with train_config.use_multiclass_scores"),
    DET_HARMLESS(load_context_features, BOOL, NOT_READ),
    DET_HARMLESS(load_context_image_ids, BOOL, NOT_READ),
    DET_HARMLESS(load_instance_masks, BOOL, NOT_READ),
    {DET_FIELD(mask_type, ENUM), .use = DET_SCHEMA_HARMLESS, .words = mask_types,
     .reason = NOT_READ},
    DET_HARMLESS(load_dense_pose, BOOL, NOT_READ),
    DET_HARMLESS(load_track_id, BOOL, NOT_READ),
    DET_HARMLESS(load_keypoint_depth_features, BOOL, NOT_READ),
    DET_HARMLESS(use_display_name, BOOL, "class texts are looked up in both, as the API does"),
    DET_HARMLESS(include_source_id, BOOL, "the id is always kept"),
    {DET_FIELD(input_type, ENUM), .use = DET_SCHEMA_REFUSED, .words = input_types, .fallback = 1,
     .reason = "records hold TF_EXAMPLE messages"},
    DET_HARMLESS(frame_index, INT, SEQUENCES),
    DET_HARMLESS(use_keypoint_label_map, BOOL, NOT_READ),
    {DET_FIELD(sample_from_datasets_weights, FLOAT), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "all records are drawn alike"},
    {DET_FIELD(tf_record_input_reader, MESSAGE), .oneof = 1, .message = &tf_record_message},
    DET_REFUSED_ONEOF(external_input_reader, "tf_record_input_reader is"),
    DET_REFUSED(expand_labels_hierarchy, BOOL, 0, "labels have no hierarchy"),
};
const struct det_schema_message det_schema_input_reader = {
    .name = "InputReader",
    .size = sizeof(BASE),
    .fields = input_reader,
    .count = sizeof input_reader / sizeof input_reader[0],
    .position_offset = offsetof(BASE, position),
    .has_position = true};
#undef BASE
