/* label_errors.c: how many errors put into a data set's labels det_review_create() has at the head
 * of its list (docs/reviewing.md).
 *
 *     label-errors MODEL SOURCE [LABEL_MAP] [--seeds N] [--first N] [--share S] [--each]
 *     label-errors --write FOLDER SOURCE [LABEL_MAP] [--first N] [--share S]
 *
 * The first puts in all three kinds at once, S of the boxes each (0.05), and counts what is in the
 * first tenth of the list; --each: one kind at a time. The second writes the set with the errors of
 * one seed as records, to train a model on them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/planted.h"

struct arguments {
    const char *positional[3], *write;
    int count, seeds;
    uint64_t first;
    double share;
    bool each;
};

static const char *const kinds[] = {"moved", "dropped", "renamed"};

static int fail(const det_context *context)
{
    fprintf(stderr, "label-errors: %s\n", det_context_error(context));
    return 1;
}

static det_status read_set(det_context *context, const char *source, const char *label_map,
                           det_annotation_set **set)
{
    det_annotation_repairs repairs = {.struct_size = sizeof repairs};
    det_status status = det_annotation_set_create(context, NULL, set);
    if (status == DET_OK && label_map != NULL)
        status = det_annotation_set_load_label_map(*set, label_map);
    if (status == DET_OK)
        status = det_annotation_set_read(*set, NULL, source, NULL);
    if (status == DET_OK)
        status = det_annotation_set_resolve(*set);
    return status == DET_OK ? det_annotation_set_repair(*set, &repairs) : status;
}

static void print_row(const det_review *review, const struct plants *plants, uint64_t seed)
{
    size_t found[PLANT_KINDS], of[PLANT_KINDS], all = 0, total = 0;
    const size_t rows = det_review_row_count(review), head = rows / 10;
    plants_found(review, plants, head, found, of);
    printf("seed %llu: %zu boxes, %zu rows, first %zu:", (unsigned long long)seed, plants->boxes,
           rows, head);
    for (int k = 0; k < PLANT_KINDS; k++) {
        if (of[k] > 0)
            printf(" %s %zu/%zu", kinds[k], found[k], of[k]);
        all += found[k];
        total += of[k];
    }
    printf(", all %zu/%zu = %.0f %%", all, total, 100. * (double)all / (double)total);
    plants_found(review, plants, plants->boxes / 10, found, of);
    printf("; in as many as a tenth of the boxes %zu", found[0] + found[1] + found[2]);
    plants_found(review, plants, total, found, of);
    printf("; in as many as there are errors %zu\n", found[0] + found[1] + found[2]);
    fflush(stdout);
}

static det_status measure(det_context *context, const det_model *model, const struct arguments *a,
                          const double shares[PLANT_KINDS], uint64_t seed)
{
    det_annotation_set *set = NULL;
    det_review *review = NULL;
    struct plants plants = {0};
    const int source = a->write == NULL; /* a model stands before it */
    det_status status = read_set(context, a->positional[source], a->positional[source + 1], &set);
    if (status == DET_OK)
        status = plant_errors(set, shares, seed, &plants);
    if (status == DET_OK && a->write != NULL)
        status = det_annotation_set_write(set, "tfrecord", a->write, NULL, NULL);
    else if (status == DET_OK)
        status = det_review_create(context, model, set, NULL, &review);
    if (status == DET_OK && a->write == NULL)
        print_row(review, &plants, seed);
    det_review_destroy(&review);
    det_annotation_set_destroy(&set);
    free(plants.list);
    return status;
}

static det_status run(det_context *context, const struct arguments *a)
{
    det_model *model = NULL;
    det_status status =
        a->write != NULL ? DET_OK : det_model_load(context, a->positional[0], &model);
    const int rounds = a->each ? PLANT_KINDS : 1;
    for (int round = 0; round < rounds; round++)
        for (int s = 0; s < a->seeds && status == DET_OK; s++) {
            double shares[PLANT_KINDS];
            for (int k = 0; k < PLANT_KINDS; k++)
                shares[k] = !a->each || k == round ? a->share : 0;
            status = measure(context, model, a, shares, a->first + (uint64_t)s);
        }
    det_model_destroy(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a = {.seeds = 3, .first = 1, .share = .05};
    det_context *context = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--each") == 0)
            a.each = true;
        else if (strcmp(argv[i], "--seeds") == 0 && ++i)
            a.seeds = atoi(value);
        else if (strcmp(argv[i], "--first") == 0 && ++i)
            a.first = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--share") == 0 && ++i)
            a.share = strtod(value, NULL);
        else if (strcmp(argv[i], "--write") == 0 && ++i)
            a.write = value;
        else if (a.count < 3)
            a.positional[a.count++] = argv[i];
    }
    if (a.write != NULL)
        a.seeds = 1;
    if (a.count < 1 + (a.write == NULL)) {
        fprintf(stderr,
                "usage: label-errors MODEL SOURCE [LABEL_MAP] [--seeds N] [--first N] "
                "[--share S] [--each]\n       label-errors --write FOLDER SOURCE [LABEL_MAP] "
                "[--first N] [--share S]\n");
        return 2;
    }
    if (det_context_create(&context, NULL) != DET_OK)
        return 1;
    const int result = run(context, &a) == DET_OK ? 0 : fail(context);
    det_context_destroy(&context);
    return result;
}
