/* report_confusion.c: the confusion matrix as CSV, and in print: as a matrix while it is no wider
 * than a screen, the most frequent confusions of two classes where there are more. */
#include <stdio.h>

#include "base/arguments.h"
#include "base/context.h"
#include "eval/detection_report.h"
#include "support/mem.h"
#include "support/utf8.h"

static const char missed[] = "(missed)", nothing[] = "(nothing there)";

enum { MOST_COLUMNS = 100, NAME_COLUMNS = 24, MOST_CONFUSED = 15 };

static int64_t count_at(const det_detection_report *report, size_t row, size_t column)
{
    return report->confusion[row * (report->class_count + 1) + column];
}

static const char *name_at(const det_detection_report *report, size_t index, const char *background,
                           char number[32])
{
    return index < report->class_count ? det_class_report_name(&report->classes[index], number)
                                       : background;
}

det_status det_report_confusion_csv(struct det_env *env, const det_detection_report *report,
                                    struct det_text *text)
{
    const size_t side = report->class_count + 1;
    char number[32];
    DET_TRY_RETURN(det_text_printf(env, text, "\"object \\ detected as\""));
    for (size_t column = 0; column < side; column++) {
        DET_TRY_RETURN(det_text_append(env, text, ",", 1));
        DET_TRY_RETURN(det_text_csv(env, text, name_at(report, column, missed, number)));
    }
    DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    for (size_t row = 0; row < side; row++) {
        DET_TRY_RETURN(det_text_csv(env, text, name_at(report, row, nothing, number)));
        for (size_t column = 0; column < side; column++)
            DET_TRY_RETURN(
                det_text_printf(env, text, ",%lld", (long long)count_at(report, row, column)));
        DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    }
    return DET_OK;
}

/* --- in print --- */

static int digits_of(int64_t value)
{
    char number[32];
    return snprintf(number, sizeof number, "%lld", (long long)value);
}

static int name_width(const det_detection_report *report)
{
    size_t width = sizeof nothing - 1;
    char number[32];
    for (size_t k = 0; k < report->class_count; k++) {
        const size_t length =
            det_utf8_shown_length(det_class_report_name(&report->classes[k], number));
        width = length > width ? length : width;
    }
    return (int)(width < NAME_COLUMNS ? width : NAME_COLUMNS);
}

static int count_width(const det_detection_report *report)
{
    const size_t side = report->class_count + 1;
    int width = digits_of((int64_t)report->class_count);
    for (size_t i = 0; i < side * side; i++) {
        const int digits = digits_of(report->confusion[i]);
        width = digits > width ? digits : width;
    }
    return width + 1;
}

static int missed_width(int width)
{
    return width > (int)sizeof missed ? width : (int)sizeof missed;
}

static det_status put_matrix(struct det_env *env, struct det_text *text,
                             const det_detection_report *report, int names, int width)
{
    const size_t classes = report->class_count;
    char number[32];
    DET_TRY_RETURN(det_text_printf(env, text, "%*s", 5 + names, ""));
    for (size_t k = 0; k < classes; k++)
        DET_TRY_RETURN(det_text_printf(env, text, "%*zu", width, k + 1));
    DET_TRY_RETURN(det_text_printf(env, text, "%*s\n", missed_width(width), missed));
    for (size_t row = 0; row <= classes; row++) {
        DET_TRY_RETURN(row < classes ? det_text_printf(env, text, "%4zu ", row + 1)
                                     : det_text_printf(env, text, "     "));
        DET_TRY_RETURN(
            det_text_column(env, text, name_at(report, row, nothing, number), (size_t)names));
        for (size_t column = 0; column < classes; column++)
            DET_TRY_RETURN(det_text_printf(env, text, "%*lld", width,
                                           (long long)count_at(report, row, column)));
        DET_TRY_RETURN(row < classes ? det_text_printf(env, text, "%*lld\n", missed_width(width),
                                                       (long long)count_at(report, row, classes))
                                     : det_text_printf(env, text, "\n"));
    }
    return DET_OK;
}

struct confused {
    size_t row, column;
    int64_t count;
};

/* The most frequent first; of equals in the order of the matrix. */
static size_t find_confused(const det_detection_report *report, struct confused list[MOST_CONFUSED])
{
    size_t used = 0;
    for (size_t row = 0; row < report->class_count; row++)
        for (size_t column = 0; column < report->class_count; column++) {
            const int64_t count = row != column ? count_at(report, row, column) : 0;
            size_t at = used < MOST_CONFUSED ? used++ : MOST_CONFUSED;
            for (; at > 0 && count > list[at - 1].count; at--)
                if (at < MOST_CONFUSED)
                    list[at] = list[at - 1];
            if (at < MOST_CONFUSED)
                list[at] = (struct confused){row, column, count};
        }
    while (used > 0 && list[used - 1].count == 0)
        used--;
    return used;
}

static det_status put_confused(struct det_env *env, struct det_text *text,
                               const det_detection_report *report, int names)
{
    struct confused list[MOST_CONFUSED];
    const size_t count = find_confused(report, list);
    char number[32];
    DET_TRY_RETURN(det_text_printf(
        env, text, "The most frequent of %zu classes, all are in confusion.csv:\n%-*s %-*s %8s\n",
        report->class_count, names, "object", names, "detected as", "count"));
    for (size_t i = 0; i < count; i++) {
        DET_TRY_RETURN(
            det_text_column(env, text, name_at(report, list[i].row, "", number), (size_t)names));
        DET_TRY_RETURN(det_text_append(env, text, " ", 1));
        DET_TRY_RETURN(
            det_text_column(env, text, name_at(report, list[i].column, "", number), (size_t)names));
        DET_TRY_RETURN(det_text_printf(env, text, " %8lld\n", (long long)list[i].count));
    }
    return DET_OK;
}

static det_status put_totals(struct det_env *env, struct det_text *text,
                             const det_detection_report *report)
{
    const size_t classes = report->class_count;
    int64_t right = 0, confused = 0, lost = 0, false_alarms = 0;
    for (size_t row = 0; row < classes; row++) {
        for (size_t column = 0; column < classes; column++)
            *(row == column ? &right : &confused) += count_at(report, row, column);
        lost += count_at(report, row, classes);
        false_alarms += count_at(report, classes, row);
    }
    const int64_t objects = right + confused + lost;
    return det_text_printf(env, text,
                           "%lld objects: %lld right, %lld taken for another class, %lld missed; "
                           "%lld detections where nothing is\n",
                           (long long)objects, (long long)right, (long long)confused,
                           (long long)lost, (long long)false_alarms);
}

det_status det_detection_report_confusion_table(det_detection_report *report, const char **text)
{
    struct det_env *env = report == NULL ? NULL : det_context_env(report->context);
    char iou[64], score[64];
    if (text != NULL)
        *text = "";
    DET_NEED(env, report);
    DET_NEED(env, text);
    struct det_text *made = &report->confusion_text;
    const int names = name_width(report), width = count_width(report);
    made->length = 0;
    DET_TRY_RETURN(det_text_printf(
        env, made,
        "Confusion at IoU %s, scores from %s on; rows: what is there, columns: detected as\n",
        det_fixed_text(iou, report->settings.iou_threshold, 2),
        det_fixed_text(score, report->settings.confusion_score, 2)));
    const double columns =
        5 + names + (double)width * (double)report->class_count + missed_width(width);
    DET_TRY_RETURN(columns <= MOST_COLUMNS ? put_matrix(env, made, report, names, width)
                                           : put_confused(env, made, report, names));
    DET_TRY_RETURN(put_totals(env, made, report));
    *text = made->data;
    return DET_OK;
}
