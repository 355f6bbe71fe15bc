#include "convert/findings.h"

#include <stdio.h>

#include "support/utf8.h"

static const struct {
    const char *name;
    det_severity severity;
} rules[] = {
#define DET_RULE_ROW(name, text, severity) {text, DET_SEVERITY_##severity},
    DET_RULE_TABLE(DET_RULE_ROW)
#undef DET_RULE_ROW
};

const char *det_rule_name(enum det_rule rule)
{
    return rules[rule].name;
}

det_severity det_rule_severity(enum det_rule rule)
{
    return rules[rule].severity;
}

void det_finding(struct det_findings *findings, enum det_rule rule, const char *format, ...)
{
    char raw[2 * DET_ERROR_BYTES], message[DET_ERROR_BYTES];
    if (findings->allowed[rule])
        return;
    findings->counts[rule]++;
    if (rules[rule].severity >= DET_SEVERITY_ERROR)
        findings->errors++;
    else
        findings->warnings++;
    findings->fatal += rules[rule].severity == DET_SEVERITY_FATAL;
    if (findings->report == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    det_utf8_shown(message, sizeof message, raw, false);
    findings->report(findings->user, rule, message);
}
