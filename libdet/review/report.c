#include "review/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/rng.h"
#include "convert/check.h"
#include "model/from_config.h"
#include "support/mem.h"
#include "support/writer.h"

enum { MOST_CLASSES = 1000, MOST_PAIRS_SHOWN = 8, EXAMPLE_BYTES = 400 };

static const det_annotation_report_settings defaults = {
    .struct_size = sizeof defaults, .title = "Data set", .input_px = 320, .samples = 24, .seed = 1};

void det_annotation_report_settings_init(det_annotation_report_settings *settings,
                                         size_t struct_size)
{
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static const char style[] =
    ".look rect.c0,.look rect.c1,.look rect.c2,.look rect.c3,.look rect.c4,.look rect.c5,"
    ".look rect.c6,.look rect.c7{stroke:currentColor}"
    "rect.fill{fill:var(--c0)}rect.heat{fill:var(--c1)}"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:8px;margin-bottom:14px}"
    ".charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,"
    "minmax(min(100%,340px),1fr));align-items:start}"
    "div.name{max-height:4.4em;overflow:auto}"
    "td.text{white-space:normal;text-align:left;min-width:14em}\n";

/* What a check says, a few of each rule. */
struct examples {
    struct det_findings findings;
    char text[DET_RULE_COUNT][REPORT_EXAMPLES][EXAMPLE_BYTES];
    int count[DET_RULE_COUNT];
};

static void keep_example(void *user, enum det_rule rule, const char *message)
{
    struct examples *examples = user;
    if (examples->count[rule] < REPORT_EXAMPLES)
        snprintf(examples->text[rule][examples->count[rule]++], EXAMPLE_BYTES, "%s", message);
}

struct report {
    det_annotation_set *owner;
    const struct det_annotations *set;
    struct det_env *env;
    struct det_xml_writer xml;
    const det_annotation_report_settings *settings;
    struct det_report_figures figures;
    struct det_report_pairs pairs;
    struct det_report_painter painter;
    struct examples *examples;
    struct det_text html;
};

/* --- tables --- */

static void open_table(struct det_xml_writer *xml, const char *const *columns, size_t count)
{
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "scroll");
    det_xml_open(xml, "table");
    det_xml_open(xml, "tr");
    for (size_t i = 0; i < count; i++)
        det_xml_element(xml, "th", columns[i]);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void close_table(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void put_name(struct det_xml_writer *xml, const char *name)
{
    det_xml_open(xml, "td");
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "name");
    det_xml_text_shown(xml, name);
    det_xml_close(xml);
    det_xml_close(xml);
}

static void put_count(struct det_xml_writer *xml, size_t count)
{
    det_xml_open(xml, "td");
    det_xml_text_printf(xml, "%zu", count);
    det_xml_close(xml);
}

/* With a bar behind it, a share of the largest. */
static void put_bar(struct det_xml_writer *xml, size_t count, size_t most)
{
    det_xml_open(xml, "td");
    det_xml_attribute(xml, "class", "bar");
    det_xml_attribute_printf(xml, "style", "--p:%.0f%%",
                             most > 0 ? 100.0 * (double)count / (double)most : 0);
    det_xml_text_printf(xml, "%zu", count);
    det_xml_close(xml);
}

static det_status put_splits(struct report *r)
{
    static const char *const columns[] = {"split",       "pictures",   "boxes",
                                          "without box", "same twice", "boxes a picture, most"};
    struct det_xml_writer *xml = &r->xml;
    det_page_section(xml, "Splits", NULL);
    open_table(xml, columns, sizeof columns / sizeof *columns);
    for (size_t s = 0; s < r->set->splits.count; s++) {
        det_annotation_split_stats stats = {.struct_size = sizeof stats};
        DET_TRY_RETURN(det_annotation_set_split_stats(r->owner, r->set->splits.paths[s], &stats));
        det_xml_open(xml, "tr");
        put_name(xml, r->set->splits.paths[s]);
        put_count(xml, stats.images);
        put_count(xml, stats.objects);
        put_count(xml, stats.images_without_objects);
        put_count(xml, stats.duplicates);
        put_count(xml, (size_t)stats.objects_per_image.most);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
    close_table(xml);
    return xml->status;
}

static void put_classes(struct report *r)
{
    static const char *const columns[] = {"class", "boxes", "pictures", "small", "medium", "large"};
    struct det_xml_writer *xml = &r->xml;
    const size_t all = r->set->classes.count, shown = all < MOST_CLASSES ? all : MOST_CLASSES;
    size_t most = 0;
    char note[200];
    for (size_t k = 0; k < all; k++)
        most = r->figures.classes[k].boxes > most ? r->figures.classes[k].boxes : most;
    snprintf(
        note, sizeof note,
        "Small, medium and large as COCO has them: an area below 32 x 32, 96 x 96 pixels of the "
        "picture, or more.%s",
        shown < all ? " The first 1000 classes." : "");
    det_page_section(xml, "Classes", note);
    open_table(xml, columns, sizeof columns / sizeof *columns);
    for (size_t k = 0; k < shown; k++) {
        const struct det_report_class *c = &r->figures.classes[k];
        det_xml_open(xml, "tr");
        put_name(xml, r->set->classes.paths[k]);
        put_bar(xml, c->boxes, most);
        put_count(xml, c->images);
        put_count(xml, c->small);
        put_count(xml, c->medium);
        put_count(xml, c->large);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
    close_table(xml);
}

static void put_picture_sizes(struct report *r)
{
    static const char *const columns[] = {"width x height", "pictures"};
    struct det_xml_writer *xml = &r->xml;
    char note[100];
    snprintf(note, sizeof note, "%zu different; the most frequent ones.", r->figures.size_count);
    det_page_section(xml, "Pictures' sizes", note);
    open_table(xml, columns, 2);
    for (size_t i = 0; i < REPORT_SIZES && i < r->figures.size_count; i++) {
        const struct det_report_size *s = &r->figures.most[i];
        det_xml_open(xml, "tr");
        det_xml_open(xml, "td");
        det_xml_text_printf(xml, "%d x %d", s->width, s->height);
        det_xml_close(xml);
        put_bar(xml, s->images, r->figures.most[0].images);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
    close_table(xml);
}

/* --- odd things --- */

static size_t count_of(const struct report *r, int rule)
{
    const det_annotation_set *owner = r->owner;
    const struct det_findings *reading =
        owner->is_checked ? &owner->before_check : &owner->findings;
    return reading->counts[rule] + r->examples->findings.counts[rule];
}

static void put_findings(struct report *r)
{
    static const char *const columns[] = {"what", "times", "", "such as"};
    struct det_xml_writer *xml = &r->xml;
    size_t all = 0;
    for (int rule = 0; rule < DET_RULE_COUNT; rule++)
        all += count_of(r, rule);
    det_page_section(xml, "Odd things",
                     all > 0
                         ? "What det-data check says, which has all of it: errors are mended or "
                           "dropped by --fix."
                         : "A check finds nothing.");
    if (all == 0)
        return;
    open_table(xml, columns, sizeof columns / sizeof *columns);
    for (int rule = 0; rule < DET_RULE_COUNT; rule++) {
        if (count_of(r, rule) == 0)
            continue;
        det_xml_open(xml, "tr");
        put_name(xml, det_rule_name((enum det_rule)rule));
        put_count(xml, count_of(r, rule));
        det_xml_element(xml, "td",
                        det_rule_severity((enum det_rule)rule) >= DET_SEVERITY_ERROR ? "error"
                                                                                     : "warning");
        det_xml_open(xml, "td");
        det_xml_attribute(xml, "class", "text");
        for (int i = 0; i < r->examples->count[rule]; i++) {
            if (i > 0) {
                det_xml_open(xml, "br");
                det_xml_close_empty(xml);
            }
            det_xml_text_shown(xml, r->examples->text[rule][i]);
        }
        det_xml_close(xml);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
    close_table(xml);
}

/* --- pictures --- */

static void open_looks(struct det_xml_writer *xml, const char *class)
{
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", class);
    det_xml_line(xml, 0);
}

static void close_looks(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static det_status put_leaks(struct report *r)
{
    struct det_xml_writer *xml = &r->xml;
    const size_t same = r->examples->findings.counts[DET_RULE_SPLIT_LEAK];
    char note[200], away[64];
    if (r->set->splits.count < 2)
        return DET_OK;
    snprintf(note, sizeof note,
             "%zu pictures that stand in two splits, %zu pairs of two splits that are the same or "
             "nearly so: what a model was trained on says nothing in an evaluation.",
             same, r->pairs.count);
    det_page_section(xml, "Leaks",
                     same + r->pairs.count > 0
                         ? note
                         : "No picture of one split is the same, or nearly, as "
                           "one of another.");
    for (size_t i = 0; i < r->pairs.count && i < MOST_PAIRS_SHOWN; i++) {
        const struct det_report_pair *pair = &r->pairs.pairs[i];
        snprintf(note, sizeof note, "differs by %s grey levels",
                 det_fixed_text(away, pair->difference, 1));
        open_looks(xml, "pair");
        DET_TRY_RETURN(det_report_put_picture(xml, &r->painter, r->set, pair->a, -1, NULL));
        DET_TRY_RETURN(det_report_put_picture(xml, &r->painter, r->set, pair->b, -1, note));
        close_looks(xml);
    }
    return xml->status;
}

static det_status put_misfits(struct report *r)
{
    struct det_xml_writer *xml = &r->xml;
    const struct det_report_figures *f = &r->figures;
    char note[300], iou[64];
    if (f->measured == 0)
        return DET_OK;
    snprintf(note, sizeof note,
             "%.0f %% of the boxes%s meet an anchor of %s with an IoU of .5 or more: training "
             "matches the others by force, with the anchor that is best.%s",
             100.0 * (double)f->met / (double)f->measured,
             f->measured < f->boxes ? " (of some thousand)" : "",
             r->settings->config != NULL ? "the config" : "the model zoo's",
             f->worst_count > 0 ? " Those that meet one least:" : "");
    det_page_section(xml, "Anchors", note);
    if (r->settings->samples == 0 || f->worst_count == 0)
        return DET_OK;
    open_looks(xml, "looks");
    for (size_t i = 0; i < f->worst_count; i++) {
        snprintf(note, sizeof note, "IoU %s", det_fixed_text(iou, (double)f->worst[i].iou, 2));
        DET_TRY_RETURN(det_report_put_picture(xml, &r->painter, r->set, f->worst[i].image,
                                              (int64_t)f->worst[i].object, note));
    }
    close_looks(xml);
    return xml->status;
}

/* Each of the usable ones is taken with the chance that is left. */
static det_status put_samples(struct report *r)
{
    struct det_xml_writer *xml = &r->xml;
    struct det_rng rng;
    size_t left = r->figures.images, wanted = (size_t)r->settings->samples;
    if (wanted > left)
        wanted = left;
    if (wanted == 0)
        return DET_OK;
    det_rng_init(&rng, r->settings->seed, 0, 0);
    det_page_section(xml, "Samples", "Chosen at random, each class in its colour.");
    open_looks(xml, "looks");
    for (size_t i = 0; i < r->set->image_count && wanted > 0; i++) {
        if (r->set->images[i].broken)
            continue;
        if (det_rng_uniform_double(&rng) * (double)left < (double)wanted) {
            DET_TRY_RETURN(det_report_put_picture(xml, &r->painter, r->set, i, -1, NULL));
            wanted--;
        }
        left--;
    }
    close_looks(xml);
    return xml->status;
}

/* --- the page --- */

static void put_number(struct det_xml_writer *xml, size_t count, const char *what)
{
    char number[32];
    snprintf(number, sizeof number, "%zu", count);
    det_page_card(xml, number, what);
}

static void put_cards(struct report *r)
{
    struct det_xml_writer *xml = &r->xml;
    const struct det_report_figures *f = &r->figures;
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "cards");
    put_number(xml, f->images, "pictures");
    put_number(xml, f->boxes, "boxes");
    put_number(xml, r->set->classes.count, "classes");
    put_number(xml, f->empty, "pictures without a box");
    put_number(xml, f->small, "small boxes");
    put_number(xml, f->crowds, "crowds and groups");
    put_number(xml, f->broken, "pictures that cannot be used");
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static det_status make(struct report *r)
{
    struct det_xml_writer *xml = &r->xml;
    char styles[4096];
    snprintf(styles, sizeof styles, "%s%s", det_boxed_style, style);
    DET_TRY_RETURN(det_report_count(r->env, r->set, &r->figures));
    DET_TRY_RETURN(det_report_find_pairs(r->env, r->set, &r->pairs));
    DET_TRY_RETURN(det_annotations_check(r->env, r->set, &r->examples->findings));
    det_xml_begin(xml, r->env, &r->html);
    det_page_begin(xml, r->settings->title, "Data set report", styles);
    put_cards(r);
    DET_TRY_RETURN(put_splits(r));
    put_classes(r);
    det_page_section(xml, "Boxes", NULL);
    open_looks(xml, "charts");
    det_report_put_sizes(xml, &r->figures);
    det_report_put_places(xml, &r->figures);
    close_looks(xml);
    DET_TRY_RETURN(put_misfits(r));
    put_picture_sizes(r);
    DET_TRY_RETURN(put_leaks(r));
    put_findings(r);
    DET_TRY_RETURN(put_samples(r));
    det_page_end(xml);
    return det_xml_end(xml);
}

static det_status take_settings(struct det_env *env, const det_annotation_report_settings *given,
                                det_annotation_report_settings *taken, struct det_model_spec *spec)
{
    *taken = defaults;
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_report_settings, taken, given));
    taken->title = taken->title != NULL ? taken->title : defaults.title;
    if (taken->samples < 0 || taken->samples > 1000 || taken->input_px < 64 ||
        taken->input_px > 1280)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_report_settings: samples %d, input_px %d: expected 0 to "
                        "1000, 64 to 1280",
                        taken->samples, taken->input_px);
    det_model_spec_default(spec, taken->input_px, 1);
    return taken->config == NULL ? DET_OK : det_spec_from_config(env, taken->config, spec);
}

det_status det_annotation_set_write_report(det_annotation_set *set, const char *path,
                                           const det_annotation_report_settings *settings)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    det_annotation_report_settings taken;
    DET_NEED(env, set);
    DET_NEED(env, path);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    struct report r = {.owner = set, .set = &set->set, .env = env, .settings = &taken};
    det_status status = DET_OK;
    DET_TRY_RETURN(take_settings(env, settings, &taken, &r.figures.spec));
    DET_TRY(det_annotations_gather(env, &set->set));
    DET_TRY(det_alloc(env, &r.examples, 1, sizeof *r.examples, "examples"));
    r.examples->findings.report = keep_example;
    r.examples->findings.user = r.examples;
    memcpy(r.examples->findings.allowed, set->findings.allowed, sizeof set->findings.allowed);
    DET_TRY(make(&r));
    DET_TRY(det_write_file(env, path, r.html.data, r.html.length));
fail:
    det_report_figures_free(env, &r.figures);
    det_report_painter_free(env, &r.painter);
    det_free(env, &r.pairs.pairs);
    det_free(env, &r.examples);
    det_text_free(env, &r.html);
    return status;
}
