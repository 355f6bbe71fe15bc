#include "support/number.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Halfway cases of doubles need at most 767 digits; what is behind only has to be known as not
 * zero. */
#define MOST_DIGITS 800

/* 10^22 is the largest power of ten that is a double, 2^53 the largest of all whole numbers before
 * a gap. */
#define MOST_POWER   22
#define MOST_INTEGER (UINT64_C(1) << 53)

struct decimal {
    uint64_t mantissa; /* of the first 19 digits */
    long exponent;     /* of the last digit in `digits` */
    size_t count;
    bool more; /* digits that are not zero are left out */
    char digits[MOST_DIGITS + 1];
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(struct decimal *d, char digit, bool fraction)
{
    if (d->count == 0 && digit == '0') {
        d->exponent -= fraction;
    } else if (d->count == MOST_DIGITS) {
        d->more |= digit != '0';
        d->exponent += !fraction;
    } else {
        if (d->count < 19)
            d->mantissa = d->mantissa * 10 + (uint64_t)(digit - '0');
        d->digits[d->count++] = digit;
        d->exponent -= fraction;
    }
}

/* The exponent behind an e; false when there is none. Far out it does not matter how far. */
static bool read_exponent(const char *at, const char *end, long *exponent)
{
    const bool negative = at < end && *at == '-';
    long written = 0;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        if (written < 100000000)
            written = written * 10 + (*at - '0');
    }
    *exponent += negative ? -written : written;
    return true;
}

static bool split(const char *at, const char *end, struct decimal *d)
{
    bool any = false;
    for (; at < end && is_digit(*at); at++, any = true)
        add_digit(d, *at, false);
    if (!any)
        return false;
    if (at < end && *at == '.') {
        any = false;
        for (at++; at < end && is_digit(*at); at++, any = true)
            add_digit(d, *at, true);
        if (!any)
            return false;
    }
    return at == end || ((*at == 'e' || *at == 'E') && read_exponent(at + 1, end, &d->exponent));
}

/* Without a separator there is nothing that depends on the locale: strtod rounds right. */
static double round_digits(struct decimal *d)
{
    char text[MOST_DIGITS + 32];
    if (d->more) { /* room was left for it: a last digit that only breaks ties */
        d->digits[d->count - 1] = '1';
    }
    snprintf(text, sizeof text, "%.*se%ld", (int)d->count, d->digits, d->exponent);
    return strtod(text, NULL);
}

static double value_of(struct decimal *d)
{
    static const double powers[MOST_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->count == 0)
        return 0;
    /* Both are doubles without rounding, so the one rounding of the result is the right one
     * (Clinger 1990). */
    if (d->count <= 19 && d->mantissa <= MOST_INTEGER && d->exponent >= -MOST_POWER &&
        d->exponent <= MOST_POWER)
        return d->exponent < 0 ? (double)d->mantissa / powers[-d->exponent]
                               : (double)d->mantissa * powers[d->exponent];
    return round_digits(d);
}

bool det_parse_decimal(const char *text, size_t bytes, double *value)
{
    struct decimal d;
    d.mantissa = 0;
    d.exponent = 0;
    d.count = 0;
    d.more = false;
    *value = 0;
    const bool negative = bytes > 0 && text[0] == '-';
    if (!split(text + negative, text + bytes, &d))
        return false;
    const double magnitude = value_of(&d);
    *value = negative ? -magnitude : magnitude;
    return true;
}

bool det_parse_integer(const char *text, size_t bytes, int64_t *value)
{
    const bool negative = bytes > 0 && text[0] == '-';
    int64_t below = 0; /* zero: there is one more negative number */
    *value = 0;
    if (bytes == negative)
        return false;
    for (size_t i = negative; i < bytes; i++) {
        const int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || below < (INT64_MIN + digit) / 10)
            return false;
        below = below * 10 - digit;
    }
    if (!negative && below == INT64_MIN)
        return false;
    *value = negative ? below : -below;
    return true;
}

char *det_use_point(char *text)
{
    char *at = text + strspn(text, "-+ 0123456789");
    const size_t separator = strcspn(at, "0123456789");
    /* Without a fraction there is an exponent, a unit, a word or nothing behind the digits. */
    if (*at == 'e' || at[separator] == '\0')
        return text;
    *at = '.';
    memmove(at + 1, at + separator, strlen(at + separator) + 1);
    return text;
}
