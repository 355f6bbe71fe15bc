/* trainer_advice.c: what a trainer says about its data and its learning rate before the first
 * step. */
#include "train/coverage.h"
#include "train/rate_advice.h"
#include "train/trainer.h"

/* IoU from which an anchor learns a box unforced (the zoo's matched_threshold), share of the boxes
 * below which it is worth a warning, and how many boxes are enough to tell. */
#define COVERAGE_IOU   0.5f
#define COVERAGE_GOOD  0.9
#define COVERAGE_BOXES 5000

/* Images with which a network may well be trained from nothing: COCO has 118,000. */
#define ENOUGH_IMAGES 10000

/* What share of the boxes the anchors reach; nobody need wait for it with a large set. */
det_status det_trainer_log_coverage(struct det_trainer *trainer, const struct det_model_spec *spec)
{
    struct det_coverage coverage;
    DET_TRY_RETURN(det_coverage_measure(trainer->env, trainer->context->pool, spec,
                                        &trainer->dataset, COVERAGE_IOU, COVERAGE_BOXES,
                                        &coverage));
    if (coverage.boxes == 0)
        return DET_OK;
    const double share = (double)coverage.covered / (double)coverage.boxes;
    det_log(trainer->env, share < COVERAGE_GOOD ? DET_LOG_WARNING : DET_LOG_INFO,
            "anchors: %.1f %% of %zu boxes reach an IoU of %.1f with one (mean of the best %.2f)%s",
            100 * share, coverage.boxes, (double)COVERAGE_IOU, coverage.mean_iou,
            share < COVERAGE_GOOD ? "; the others are learnt by one forced anchor each: a larger "
                                    "input, other aspect_ratios or scales would suit them better"
                                  : "");
    return DET_OK;
}

void det_trainer_advise_rate(struct det_trainer *trainer, const struct det_pipeline_config *config,
                             const det_trainer_settings *s)
{
    const int64_t images = (int64_t)trainer->batch_size * trainer->ranks * s->accumulate;
    const struct det_rate_advice advice =
        det_rate_advise(config, (int64_t)config->train.batch_size, images);
    if (!advice.warn)
        return;
    const double base = (double)advice.base, scaled = (double)advice.scaled;
    if (s->scale_learning_rate) {
        det_config_schedule_scale(&trainer->schedule, advice.scaled / advice.base);
        det_log(trainer->env, DET_LOG_INFO,
                "learning rate %g of batch %lld scaled to %g for %lld images a step", base,
                (long long)advice.tuned_batch, scaled, (long long)images);
    } else if (advice.tuned_batch == (int64_t)config->train.batch_size) {
        det_log(trainer->env, DET_LOG_WARNING,
                "learning rate %g is the config's for batches of %lld; for the %lld images of a "
                "step here the linear rule gives %g (--scale_lr takes it)",
                base, (long long)advice.tuned_batch, (long long)images, scaled);
    } else {
        det_log(trainer->env, DET_LOG_WARNING,
                "learning rate %g is high for batches of %lld: what the model zoo trains with at "
                "batch %lld would be %g by the linear rule (--scale_lr takes it)",
                base, (long long)images, (long long)advice.tuned_batch, scaled);
    }
}

void det_trainer_advise_length(struct det_trainer *trainer)
{
    const struct det_env *env = trainer->env;
    const struct det_schedule *schedule = &trainer->schedule.schedule;
    const bool endless = trainer->num_steps == INT64_MAX;
    const bool falls_to_zero = schedule->kind == DET_SCHEDULE_COSINE_DECAY;
    const long long total = (long long)schedule->total_steps;
    if (endless && falls_to_zero)
        det_log(env, DET_LOG_WARNING,
                "the learning rate is 0 from step %lld on (total_steps), training has no end "
                "(num_steps: 0): set num_steps to %lld",
                total, total);
    else if (endless)
        det_log(env, DET_LOG_WARNING,
                "training has no end (num_steps: 0) but Ctrl-C: set num_steps");
    else if (falls_to_zero && trainer->num_steps > total)
        det_log(env, DET_LOG_WARNING,
                "the learning rate is 0 from step %lld on (total_steps), training goes to step "
                "%lld: make them the same",
                total, (long long)trainer->num_steps);
    const int64_t batch = (int64_t)trainer->batch_size * trainer->ranks;
    if ((uint64_t)batch > trainer->dataset.count)
        det_log(
            env, DET_LOG_WARNING,
            "a batch of %lld is more than the %zu images there are, some come more than once in "
            "a step: lower batch_size, and the learning rate with it",
            (long long)batch, trainer->dataset.count);
}

void det_trainer_advise_start(struct det_trainer *trainer)
{
    const struct det_env *env = trainer->env;
    det_log(env, DET_LOG_INFO, "starting from initial values, seed %llu",
            (unsigned long long)trainer->state.seed);
    if (trainer->dataset.count < ENOUGH_IMAGES)
        det_log(
            env, DET_LOG_WARNING,
            "%zu images are few to learn everything from: set fine_tune_checkpoint to a trained "
            "detector, such as one of TensorFlow's model zoo",
            trainer->dataset.count);
    if (det_learner_rounds(trainer->learner))
        det_log(env, DET_LOG_WARNING,
                "training in 8 bits begins with initial weights, whose batch norms know nothing: "
                "set a delay (graph_rewriter.quantization), or a fine_tune_checkpoint");
}
