/* partner.c: see partner.h. */
#include "partner.h"

#include <stdlib.h>
#include <string.h>

bool partner_write(const char *directory, const char *name, const void *data, size_t bytes)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    const bool written = file != NULL && fwrite(data, 1, bytes, file) == bytes;
    if ((file != NULL && fclose(file) != 0) || !written) {
        fprintf(stderr, "partner: %s cannot be written\n", path);
        return false;
    }
    return true;
}

bool partner_write_graph(const char *directory, const struct det_graph *graph, const float *params)
{
    char *json = partner_graph_json(graph);
    const bool good =
        json != NULL && partner_write(directory, "graph.json", json, strlen(json)) &&
        partner_write(directory, "params.bin", params, graph->param_floats * sizeof *params);
    free(json);
    return good;
}

bool partner_command(char *line, size_t bytes, char *words[3])
{
    char *rest = line;
    fflush(stdout);
    if (fgets(line, (int)bytes, stdin) == NULL)
        return false;
    for (int i = 0; i < 3; i++)
        words[i] = strtok_r(rest, " \n", &rest);
    return words[0] != NULL;
}

void partner_put_times(struct json_line *line, const double *ms, int count)
{
    det_json_open_list(&line->json, "ms");
    for (int i = 0; i < count; i++)
        det_json_put_fixed(&line->json, NULL, ms[i], 4);
    det_json_close_list(&line->json);
}

det_status partner_print_device(struct det_env *env, const char *device)
{
    struct json_line line;
    json_line_open(&line, env);
    det_json_put_string(&line.json, "device", device);
    return json_line_close(&line);
}

det_status partner_open(int threads, const char *precision, det_context **context)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = threads;
    settings.device = "cpu";
    settings.precision = precision;
    return det_context_create(context, &settings);
}

int main(int argc, char **argv)
{
    const char *precision = argc == 6 ? argv[5] : "f32";
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "detect") == 0)
        return partner_detect(argv[2], atoi(argv[3]), atoi(argv[4]), precision);
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "train") == 0)
        return partner_train(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), precision);
    fprintf(stderr, "usage: partner detect MODEL.det SIZE THREADS [PRECISION] | "
                    "train SIZE BATCH THREADS [PRECISION]\n");
    return 2;
}
