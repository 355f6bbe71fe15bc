/* Training by several processes: mpirun -n 4 train_ranks PIPELINE.config MODEL_DIR STEPS
 *
 * All processes make the same calls. Rank 0 tells how it goes and writes; what fails on one is told
 * by all, so one of them says it. */
#include <stdio.h>
#include <stdlib.h>

#include "det/det.h"

static int tell(void *user, const det_step_report *report)
{
    const int rank = *(const int *)user;
    if (rank == 0 && report->step % 10 == 0)
        printf("step %lld of %lld: loss %.3f, %.0f %% of the step waiting for other ranks\n",
               (long long)report->step, (long long)report->num_steps, report->total_loss,
               100 * report->rank_wait_seconds / report->step_seconds);
    return 0;
}

static det_status train(det_context *context, det_communicator *ranks, char **argv)
{
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    int rank = (int)det_communicator_rank(ranks);
    det_status status = det_pipeline_config_load(context, argv[1], &config);
    /* A file that is missing on one machine ends all of them, before anything has begun. */
    status = det_communicator_agree(ranks, status, det_context_error(context));
    det_trainer_settings_default(&settings);
    settings.model_dir = argv[2];
    settings.num_steps = atoll(argv[3]);
    settings.communicator = ranks;
    if (status == DET_OK)
        status = det_trainer_create(context, config, &settings, &trainer);
    if (status == DET_OK)
        status = det_trainer_run(trainer, tell, &rank);
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    return status == DET_STATUS_FINISHED ? DET_OK : status;
}

int main(int argc, char **argv)
{
    det_context *context = NULL;
    det_communicator *ranks = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: mpirun -n 4 train_ranks PIPELINE.config MODEL_DIR STEPS\n");
        return 2;
    }
    det_status status = det_context_create(&context, NULL);
    if (status == DET_OK)
        status = det_communicator_open_mpi(context, NULL, &ranks);
    if (status == DET_OK)
        status = train(context, ranks, argv);
    if (status != DET_OK && det_communicator_rank(ranks) == 0)
        fprintf(stderr, "train_ranks: %s\n", det_context_error(context));
    det_communicator_close(&ranks);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
