/* det.c: libdet's own file (formats/weights.h). */
#include "export/export.h"

static det_status write_det(struct det_env *env, const struct det_export_job *job,
                            struct det_export *exported)
{
    struct det_text *data = NULL;
    DET_TRY_RETURN(det_export_add_file(env, exported, job->settings.name, ".det", &data));
    DET_TRY_RETURN(det_text_printf(
        env, &exported->signature, "pixels of any size -> detections (network: %d x %d)\n",
        det_model_input_height(job->model), det_model_input_width(job->model)));
    return det_model_write(env, job->model, exported->files[0].name, data);
}

const struct det_export_writer det_export_det = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "det",
               .description = "libdet's own file: CPU and GPU",
               .files = "NAME.det"},
    .write = write_det,
};
