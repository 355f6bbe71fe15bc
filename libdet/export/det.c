/* det.c: libdet's own file (formats/weights.h). It takes pixels and gives detections, whose
 * thresholds are part of it; there is nothing else to choose. */
#include "export/export.h"

static det_status check(struct det_env *env, const det_export_settings *s)
{
    if (s->outputs == DET_EXPORT_OUTPUTS_AUTO && s->input == DET_EXPORT_INPUT_AUTO &&
        s->precision == DET_EXPORT_FLOAT32 && s->batch == 1)
        return DET_OK;
    return det_fail(env, DET_STATUS_UNSUPPORTED,
                    "format det has no outputs, input, precision or batch to choose: it is float32 "
                    "and takes any number of pictures");
}

static det_status write_det(struct det_env *env, const struct det_export_job *job,
                            struct det_export *exported)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    det_model model = *job->model; /* its parts stay the caller's */
    struct det_text *data = NULL;
    DET_TRY_RETURN(check(env, &job->settings));
    model.spec.score_threshold = p->score_threshold;
    model.spec.iou_threshold = p->iou_threshold;
    model.spec.max_total = p->max_total_detections;
    DET_TRY_RETURN(det_export_add_file(env, exported, job->settings.name, ".det", &data));
    DET_TRY_RETURN(det_text_printf(
        env, &exported->signature, "pixels of any size -> detections (network: %d x %d)\n",
        det_model_input_height(job->model), det_model_input_width(job->model)));
    return det_model_write(env, &model, exported->files[0].name, data);
}

const struct det_export_writer det_export_det = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "det",
               .description = "libdet's own file: CPU and GPU",
               .files = "NAME.det",
               .eight_bits = DET_EXPORT_EIGHT_BITS_ANY},
    .write = write_det,
};
