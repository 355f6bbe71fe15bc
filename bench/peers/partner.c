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

void partner_print_times(const double *ms, int count)
{
    printf("{\"ms\":[");
    for (int i = 0; i < count; i++)
        printf("%s%.4f", i > 0 ? "," : "", ms[i]);
    printf("]");
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
