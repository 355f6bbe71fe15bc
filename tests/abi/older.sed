# older.sed: makes of a version's headers those of a pretended older one, whose growing structs have one or two fields less (eight bytes
# at least: what is between the last field and a struct's end is no field's).
/^typedef struct det_context_settings {/,/^}/{/ no_tuning;/d;/ reserved;/d}
/^typedef struct det_detector_settings {/,/^}/{/ batch;/d;/ reserved;/d}
/^typedef struct det_evaluation_settings {/,/^}/{/ quiet;/d;/ reserved;/d}
/^typedef struct det_recalibration_settings {/,/^}/{/\*progress_user;/d}
/^typedef struct det_trainer_settings {/,/^}/{/ api_evaluation;/d;/ allow_no_boxes;/d}
/^typedef struct det_tracker_settings {/,/^}/{/ frame_rate;/d}
/^typedef struct det_coco_settings {/,/^}/{/ honour_ignore;/d;/ first_row_follows_max_dets;/d}
/^typedef struct det_detection_report_settings {/,/^}/{/ confusion_score;/d}
/^typedef struct det_coco_object {/,/^}/{/ group_of;/d;/ reserved;/d}
/^typedef struct det_pr_curve {/,/^}/s/, \*recall;/;/
/^typedef struct det_step_report {/,/^}/{/\*api_evaluation;/d}
/^typedef struct det_trainer_best {/,/^}/{/ stopped_early;/d;/ evaluations_since;/d}
/^typedef struct det_trainer_memory {/,/^}/s/, loader_bytes;/;/
/^typedef struct det_detector_times {/,/^}/s/, postprocess_ns;/;/
/^typedef struct det_evaluation_losses {/,/^}/s/, total;/;/
/^typedef struct det_decay_advice {/,/^}/{/ warn;/d}
/^typedef struct det_count {/,/^}/{/ inside;/d}
/^typedef struct det_mot_result {/,/^}/{/ id_true_positives;/d}
/^typedef struct det_augmented {/,/^}/{/ count;/d}
s/DET_VERSION_MINOR 3/DET_VERSION_MINOR 2/
