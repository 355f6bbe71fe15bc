/* report.c: the figures of a run as JSON. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "bench.h"
#include "det/det.h"

void bench_report_open(struct bench_report *report)
{
    report->root = cJSON_CreateObject();
    cJSON *machine = cJSON_AddObjectToObject(report->root, "machine");
    report->results = cJSON_AddArrayToObject(report->root, "results");
    cJSON_AddStringToObject(machine, "version", det_version_string());
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
            line[strcspn(line, "\n")] = '\0';
            cJSON_AddStringToObject(machine, "processor", strchr(line, ':') + 2);
            break;
        }
    if (file != NULL)
        fclose(file);
}

void bench_report_close(struct bench_report *report)
{
    cJSON_Delete(report->root);
    *report = (struct bench_report){0};
}

static cJSON *add(struct bench_report *report, const char *name, const char *unit)
{
    cJSON *result = cJSON_CreateObject();
    cJSON_AddItemToArray(report->results, result);
    cJSON_AddStringToObject(result, "name", name);
    cJSON_AddStringToObject(result, "unit", unit);
    return result;
}

cJSON *bench_report_time(struct bench_report *report, const char *name,
                         const struct bench_time *time)
{
    cJSON *result = add(report, name, "ms");
    cJSON_AddNumberToObject(result, "median", time->median * 1e3);
    cJSON_AddNumberToObject(result, "low", time->low * 1e3);
    cJSON_AddNumberToObject(result, "high", time->high * 1e3);
    cJSON_AddNumberToObject(result, "runs", time->runs);
    return result;
}

cJSON *bench_report_value(struct bench_report *report, const char *name, double value,
                          const char *unit)
{
    cJSON *result = add(report, name, unit);
    cJSON_AddNumberToObject(result, "median", value);
    cJSON_AddNumberToObject(result, "low", value);
    cJSON_AddNumberToObject(result, "high", value);
    return result;
}

void bench_report_machine(struct bench_report *report, const char *name, double value)
{
    cJSON_AddNumberToObject(cJSON_GetObjectItem(report->root, "machine"), name, value);
}

bool bench_report_write(const struct bench_report *report, const char *path)
{
    char *text = cJSON_Print(report->root);
    FILE *file = fopen(path, "w");
    const bool written = text != NULL && file != NULL && fputs(text, file) >= 0;
    free(text);
    return file != NULL && fclose(file) == 0 && written;
}

/* NULL when the file is no report. */
static cJSON *parse(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    char *text = NULL;
    size_t length = 0, room = 0, got = 0;
    do {
        if (room - length < 4096) {
            room += 1 << 16;
            char *more = realloc(text, room);
            if (more == NULL)
                break;
            text = more;
        }
        got = fread(text + length, 1, room - length - 1, file);
        length += got;
    } while (got > 0);
    fclose(file);
    cJSON *root = text == NULL ? NULL : cJSON_ParseWithLength(text, length);
    free(text);
    if (root != NULL && !cJSON_IsArray(cJSON_GetObjectItem(root, "results"))) {
        cJSON_Delete(root);
        root = NULL;
    }
    return root;
}

bool bench_report_read(struct bench_report *report, const char *path)
{
    cJSON *root = parse(path);
    if (root == NULL)
        return false;
    report->root = root;
    report->results = cJSON_GetObjectItem(root, "results");
    return true;
}

static double number(const cJSON *item, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(item, name);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static const cJSON *find(const cJSON *results, const char *name)
{
    const cJSON *result = NULL;
    cJSON_ArrayForEach(result, results)
    {
        const char *its = cJSON_GetStringValue(cJSON_GetObjectItem(result, "name"));
        if (its != NULL && strcmp(its, name) == 0)
            return result;
    }
    return NULL;
}

/* A change counts when it is above 5 % and the two runs' ranges do not overlap; 1: worse. */
static int change_of(const cJSON *before, const cJSON *now, double *percent)
{
    const char *unit = cJSON_GetStringValue(cJSON_GetObjectItem(now, "unit"));
    if (unit != NULL && strcmp(unit, "1/s") == 0)
        return 0; /* a rate says what its time says */
    const double old = number(before, "median");
    *percent = old > 0 ? 100 * (number(now, "median") / old - 1) : 0;
    if (*percent > 5 && number(now, "low") > number(before, "high"))
        return 1;
    if (*percent < -5 && number(now, "high") < number(before, "low"))
        return -1;
    return 0;
}

static void compare_machines(const struct cJSON *before, const struct cJSON *now)
{
    const cJSON *fact = NULL;
    cJSON_ArrayForEach(fact, cJSON_GetObjectItem(now, "machine"))
    {
        const double value = cJSON_IsNumber(fact) ? fact->valuedouble : 0;
        const double old = number(cJSON_GetObjectItem(before, "machine"), fact->string);
        if (old > 0 && value > 0 && (value / old > 1.1 || value / old < 0.9))
            printf("  the machine is not what it was: %s %.1f, then %.1f\n", fact->string, old,
                   value);
    }
}

int bench_compare(const char *old_path, const struct bench_report *report)
{
    int slower = 0, faster = 0, same = 0, alone = 0;
    struct bench_report old = {0};
    if (!bench_report_read(&old, old_path)) {
        fprintf(stderr, "bench: %s is not a report of an earlier run\n", old_path);
        return -1;
    }
    printf("\nAgainst %s:\n", old_path);
    compare_machines(old.root, report->root);
    const cJSON *result = NULL;
    cJSON_ArrayForEach(result, report->results)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(result, "name"));
        const cJSON *before = name != NULL ? find(old.results, name) : NULL;
        double percent = 0;
        if (before == NULL) {
            alone++;
            continue;
        }
        const int change = change_of(before, result, &percent);
        slower += change > 0;
        faster += change < 0;
        same += change == 0;
        if (change != 0)
            printf("  %s %+6.1f %%  %-60s %.4g -> %.4g %s\n", change > 0 ? "WORSE " : "better",
                   percent, name, number(before, "median"), number(result, "median"),
                   cJSON_GetStringValue(cJSON_GetObjectItem(result, "unit")));
    }
    printf("  %d worse, %d better, %d within the noise, %d only in one of the two\n", slower,
           faster, same, alone);
    bench_report_close(&old);
    return slower;
}
