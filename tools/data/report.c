/* report.c: det-data report: a page about a data set. */
#include "common/console.h"
#include "common/output.h"
#include "data/data.h"

int data_report(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_annotation_report_settings settings;
    char name[CONSOLE_NAME_BYTES];
    det_status status = DET_OK;
    DET_TRY(tool_writes(&job->tool, "--output", a->output));
    DET_TRY(data_read(job));
    det_annotation_report_settings_default(&settings);
    settings.title = job->inputs.values[0];
    settings.config = job->config;
    settings.samples = a->count > 1000 ? 1000 : (int32_t)a->count;
    settings.seed = (uint64_t)a->seed;
    if (a->input_px > 0)
        settings.input_px = (int32_t)a->input_px;
    DET_TRY(det_annotation_set_write_report(job->set, output_path(a->output), &settings));
    console_print("%s: a page for a browser\n", console_name(name, a->output));
fail:
    return status == DET_OK ? 0 : tool_fail(&job->tool, status);
}
