/* stats_text.c: the statistics of stats.h as text. */
#include <math.h>
#include <string.h>

#include "convert/stats.h"
#include "convert/writers.h"
#include "support/json_writer.h"
#include "support/utf8.h"

static const char *split_name(const struct det_annotations *set, const struct det_set_stats *stats,
                              size_t s)
{
    return s < stats->split_count ? set->splits.paths[s] : "all";
}

/* With one split alone the line of all would say the same again. */
static size_t lines_of(const struct det_set_stats *stats)
{
    return stats->split_count == 1 ? 1 : stats->split_count + 1;
}

/* A number rounded to `step`, for people. */
static const char *rounded(char buffer[32], double value, double step)
{
    return det_format_pixels(buffer, floor(value / step + .5) * step);
}

static size_t wider(size_t width, const char *name)
{
    const size_t length = det_utf8_shown_length(name);
    return length > width ? length : width;
}

/* Width of the widest name, at least that of the heading. */
static size_t name_width(const struct det_annotations *set, const struct det_set_stats *stats)
{
    size_t width = strlen("class");
    for (size_t s = 0; s < lines_of(stats); s++)
        width = wider(width, split_name(set, stats, s));
    for (size_t k = 0; k < stats->class_count; k++)
        width = wider(width, set->classes.paths[k]);
    return width > DET_WIDEST_NAME ? DET_WIDEST_NAME : width;
}

static det_status put_splits(struct det_env *env, const struct det_annotations *set,
                             const struct det_set_stats *stats, size_t width, struct det_text *text)
{
    char n[8][32];
    DET_TRY_RETURN(det_text_column(env, text, "split", width));
    DET_TRY_RETURN(det_text_printf(env, text, " %8s %8s %9s %10s   %-21s %-17s %s\n", "images",
                                   "boxes", "no boxes", "duplicates", "boxes/image 50% 95% max",
                                   "width 5% 50% 95%", "height 5% 50% 95%"));
    for (size_t s = 0; s < lines_of(stats); s++) {
        const struct det_split_stats *p = &stats->splits[s];
        DET_TRY_RETURN(det_text_column(env, text, split_name(set, stats, s), width));
        DET_TRY_RETURN(det_text_printf(
            env, text, " %8zu %8zu %9zu %10zu   %11s %3s %3s %3s   %8s %4s %4s %9s %4s %4s\n",
            p->images, p->objects, p->without_objects, p->duplicates, "",
            rounded(n[0], p->per_image.median, 1), rounded(n[1], p->per_image.q95, 1),
            rounded(n[7], p->per_image.most, 1), rounded(n[2], p->width_px.q05, 1),
            rounded(n[3], p->width_px.median, 1), rounded(n[4], p->width_px.q95, 1),
            rounded(n[5], p->height_px.q05, 1), rounded(n[6], p->height_px.median, 1),
            rounded((char[32]){0}, p->height_px.q95, 1)));
    }
    return DET_OK;
}

static det_status put_classes(struct det_env *env, const struct det_annotations *set,
                              const struct det_set_stats *stats, size_t s, size_t width,
                              struct det_text *text)
{
    char n[6][32];
    DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    DET_TRY_RETURN(det_text_shown(env, text, split_name(set, stats, s)));
    DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    DET_TRY_RETURN(det_text_column(env, text, "class", width));
    DET_TRY_RETURN(det_text_printf(env, text, " %8s %8s %7s %7s %7s   %-21s %s\n", "boxes",
                                   "images", "small", "medium", "large", "side px 5% 50% 95%",
                                   "width/height 5% 50% 95%"));
    for (size_t k = 0; k < stats->class_count; k++) {
        const struct det_class_stats *c = &stats->splits[s].classes[k];
        DET_TRY_RETURN(det_text_column(env, text, set->classes.paths[k], width));
        DET_TRY_RETURN(det_text_printf(
            env, text, " %8zu %8zu %7zu %7zu %7zu   %9s %5s %5s   %12s %5s %5s\n", c->objects,
            c->images, c->small, c->medium, c->large, rounded(n[0], c->side_px.q05, 1),
            rounded(n[1], c->side_px.median, 1), rounded(n[2], c->side_px.q95, 1),
            rounded(n[3], c->aspect.q05, .01), rounded(n[4], c->aspect.median, .01),
            rounded(n[5], c->aspect.q95, .01)));
    }
    return DET_OK;
}

det_status det_set_stats_table(struct det_env *env, const struct det_annotations *set,
                               const struct det_set_stats *stats, struct det_text *text)
{
    const size_t width = name_width(set, stats);
    DET_TRY_RETURN(put_splits(env, set, stats, width, text));
    for (size_t s = 0; s < lines_of(stats); s++)
        DET_TRY_RETURN(put_classes(env, set, stats, s, width, text));
    if (stats->across > 0)
        DET_TRY_RETURN(det_text_printf(
            env, text,
            "\n%zu images are in more than one split: evaluation then measures what was "
            "trained on\n",
            stats->across));
    if (stats->broken > 0)
        DET_TRY_RETURN(det_text_printf(env, text, "\n%zu image%s cannot be used\n", stats->broken,
                                       stats->broken == 1 ? "" : "s"));
    return DET_OK;
}

static void put_quantiles(struct det_json_writer *json, const char *key, const det_quantiles *q)
{
    det_json_open_object(json, key);
    det_json_put_float(json, "min", (float)q->least);
    det_json_put_float(json, "q05", (float)q->q05);
    det_json_put_float(json, "median", (float)q->median);
    det_json_put_float(json, "q95", (float)q->q95);
    det_json_put_float(json, "max", (float)q->most);
    det_json_put_float(json, "mean", (float)q->mean);
    det_json_close_object(json);
}

static void put_class(struct det_json_writer *json, size_t id, const char *name,
                      const struct det_class_stats *c)
{
    det_json_open_object(json, NULL);
    det_json_put_size(json, "id", id);
    det_json_put_string(json, "name", name);
    det_json_put_size(json, "boxes", c->objects);
    det_json_put_size(json, "images", c->images);
    det_json_put_size(json, "small", c->small);
    det_json_put_size(json, "medium", c->medium);
    det_json_put_size(json, "large", c->large);
    put_quantiles(json, "side_px", &c->side_px);
    put_quantiles(json, "aspect", &c->aspect);
    det_json_close_object(json);
}

static void put_split(struct det_json_writer *json, const char *key, const char *name,
                      const struct det_annotations *set, const struct det_split_stats *p,
                      size_t class_count)
{
    det_json_open_object(json, key);
    det_json_put_string(json, "name", name);
    det_json_put_size(json, "images", p->images);
    det_json_put_size(json, "boxes", p->objects);
    det_json_put_size(json, "images_without_boxes", p->without_objects);
    det_json_put_size(json, "duplicates", p->duplicates);
    det_json_put_size(json, "difficult", p->difficult);
    det_json_put_size(json, "crowd", p->crowd);
    det_json_put_size(json, "group_of", p->group_of);
    put_quantiles(json, "boxes_per_image", &p->per_image);
    put_quantiles(json, "width_px", &p->width_px);
    put_quantiles(json, "height_px", &p->height_px);
    det_json_line(json, 2);
    det_json_open_list(json, "classes");
    for (size_t k = 0; k < class_count; k++) {
        det_json_line(json, 3);
        put_class(json, k + 1, set->classes.paths[k], &p->classes[k]);
    }
    det_json_close_list(json);
    det_json_close_object(json);
}

det_status det_set_stats_json(struct det_env *env, const struct det_annotations *set,
                              const struct det_set_stats *stats, struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_size(&json, "broken_images", stats->broken);
    det_json_put_size(&json, "images_in_several_splits", stats->across);
    det_json_line(&json, 1);
    det_json_open_list(&json, "splits");
    for (size_t s = 0; s < stats->split_count; s++) {
        det_json_line(&json, 2);
        put_split(&json, NULL, set->splits.paths[s], set, &stats->splits[s], stats->class_count);
    }
    det_json_close_list(&json);
    det_json_line(&json, 1);
    put_split(&json, "all", "all", set, &stats->splits[stats->split_count], stats->class_count);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}
