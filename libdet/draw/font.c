#include "draw/font.h"

#include <stddef.h>

static const struct det_glyph glyphs[95] = {
    {4, ""},                                 /* space */
    {2, "121a 1e1e"},                        /* ! */
    {4, "0205 4245"},                        /* " */
    {8, "321e 725e 0686 0a8a"},              /* # */
    {8, "~84820208888e0e0c 404g"},           /* $ */
    {9, "~040242460604 ~5c5a9a9e5e5c 920e"}, /* % */
    {8, "8e25 ~25226266090e7e88"},           /* & */
    {2, "1215"},                             /* ' */
    {3, "~31093h"},                          /* ( */
    {3, "~01390h"},                          /* ) */
    {6, "3238 0367 6307"},                   /* * */
    {8, "464e 0a8a"},                        /* + */
    {2, "1d1e0g"},                           /* , */
    {5, "0a5a"},                             /* - */
    {2, "1e1e"},                             /* . */
    {5, "510f"},                             /* / */
    {7, "~0802727e0e08"},                    /* 0 */
    {7, "14424e 1e7e"},                      /* 1 */
    {7, "~050272780e 0e7e"},                 /* 2 */
    {7, "~0402727838 ~38787e0e0c"},          /* 3 */
    {7, "5e520a7a"},                         /* 4 */
    {7, "621207 ~07767e0e0c"},               /* 5 */
    {7, "~63020a ~0a07777e0e0a"},            /* 6 */
    {7, "02722e"},                           /* 7 */
    {7, "~151262681815 ~0b08787e0e0b"},      /* 8 */
    {7, "~1d7e76 ~767909027276"},            /* 9 */
    {2, "1717 1e1e"},                        /* : */
    {2, "1717 1d1e0g"},                      /* ; */
    {7, "760a7e"},                           /* < */
    {8, "0888 0c8c"},                        /* = */
    {7, "067a0e"},                           /* > */
    {7, "~040272783b 3e3e"},                 /* ? */
    {11, "~9g0g03b3be8e87 ~8a86363e8e8a"},   /* @ */
    {8, "0e428e 1a7a"},                      /* A */
    {8, "020e 0242 0848 0e4e ~42727848 ~48888e4e"},
    {8, "~8472020e7e8c"},                 /* C */
    {8, "020e 0242 0e4e ~42828e4e"},      /* D */
    {7, "72020e7e 0868"},                 /* E */
    {7, "72020e 0868"},                   /* F */
    {8, "~8472020e7e8c 8c8858"},          /* G */
    {8, "020e 828e 0888"},                /* H */
    {4, "0242 222e 0e4e"},                /* I */
    {6, "626a ~6a6e0e0b"},                /* J */
    {8, "020e 8209 368e"},                /* K */
    {7, "020e7e"},                        /* L */
    {10, "0e025aa2ae"},                   /* M */
    {8, "0e028e82"},                      /* N */
    {8, "~42020e8e8242"},                 /* O */
    {8, "020e 0242 0949 ~42828949"},      /* P */
    {9, "~42020e8e8242 5b9f"},            /* Q */
    {8, "020e 0242 0949 ~42828949 498e"}, /* R */
    {8, "~84820208888e0e0c"},             /* S */
    {8, "0282 424e"},                     /* T */
    {8, "020a ~0a0e8e8a 8a82"},           /* U */
    {8, "024e82"},                        /* V */
    {10, "023e557ea2"},                   /* W */
    {8, "028e 820e"},                     /* X */
    {8, "024882 484e"},                   /* Y */
    {8, "02820e8e"},                      /* Z */
    {3, "31111h3h"},                      /* [ */
    {5, "015f"},                          /* \ */
    {3, "01212h0h"},                      /* ] */
    {6, "063266"},                        /* ^ */
    {8, "0g8g"},                          /* _ */
    {3, "0224"},                          /* ` */
    {6, "~07166669 696e ~6a0a0e6e6b"},    /* a */
    {7, "020e ~0a06767e0e0a"},            /* b */
    {6, "~6856060e5e6c"},                 /* c */
    {7, "727e ~7a76060e7e7a"},            /* d */
    {7, "0a7a ~7a76060e6e7c"},            /* e */
    {5, "~522225 252e 0656"},             /* f */
    {7, "~7a76060e7e7a 767e ~7e7i1i0h"},  /* g */
    {7, "020e ~0a06767a 7a7e"},           /* h */
    {2, "161e 1212"},                     /* i */
    {4, "363f ~3f3i0i 3232"},             /* j */
    {6, "020e 660b 296e"},                /* k */
    {3, "121c ~1c1e3e"},                  /* l */
    {10, "060e ~09065659 595e ~5956a6a9 a9ae"},
    {7, "060e ~0a06767a 7a7e"}, /* n */
    {7, "~0a06767e0e0a"},       /* o */
    {7, "060i ~0a06767e0e0a"},  /* p */
    {7, "767i ~7a76060e7e7a"},  /* q */
    {5, "060e ~0a0656"},        /* r */
    {6, "~6866060a6a6e0e0c"},   /* s */
    {5, "222b ~2b2e5e 0656"},   /* t */
    {7, "060a ~0a0e7e7a 767e"}, /* u */
    {6, "063e66"},              /* v */
    {10, "062e578ea6"},         /* w */
    {6, "066e 660e"},           /* x */
    {6, "063e 661i"},           /* y */
    {6, "06660e6e"},            /* z */
    {4, "~41212809 ~092a2h4h"}, /* { */
    {2, "101h"},                /* | */
    {4, "~01212849 ~492a2h0h"}, /* } */
    {8, "~0b08484c8c89"},       /* ~ */
};

const struct det_glyph *det_font_glyph(unsigned character)
{
    return &glyphs[character >= 32 && character < 127 ? character - 32 : '?' - 32];
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10;
}

struct segment_list {
    struct det_font_segment *segments;
    int count;
    float x, y; /* the pen */
};

static void line_to(struct segment_list *list, float x, float y)
{
    if (list->count < DET_FONT_MAX_SEGMENTS)
        list->segments[list->count++] = (struct det_font_segment){list->x, list->y, x, y};
    list->x = x;
    list->y = y;
}

static void curve_to(struct segment_list *list, float cx, float cy, float x, float y)
{
    enum { pieces = 6 };
    const float x0 = list->x, y0 = list->y;
    for (int i = 1; i <= pieces; i++) {
        const float t = (float)i / (float)pieces, u = 1 - t;
        line_to(list, u * u * x0 + 2 * u * t * cx + t * t * x,
                u * u * y0 + 2 * u * t * cy + t * t * y);
    }
}

int det_font_segments(const struct det_glyph *glyph, struct det_font_segment *segments)
{
    struct segment_list list = {.segments = segments};
    for (const char *p = glyph->strokes; *p != '\0';) {
        const int smooth = *p == '~';
        p += smooth;
        float points[16][2];
        int count = 0;
        for (; *p != '\0' && *p != ' ' && count < 16; p += 2, count++) {
            points[count][0] = (float)digit(p[0]);
            points[count][1] = (float)digit(p[1]);
        }
        while (*p == ' ')
            p++;
        if (count == 0)
            continue;
        list.x = points[0][0];
        list.y = points[0][1];
        for (int i = 1; i < count; i++) {
            if (!smooth) {
                line_to(&list, points[i][0], points[i][1]);
            } else if (i + 1 < count) {
                const float share = i + 2 < count ? 0.5F : 1.0F;
                curve_to(&list, points[i][0], points[i][1],
                         points[i][0] + share * (points[i + 1][0] - points[i][0]),
                         points[i][1] + share * (points[i + 1][1] - points[i][1]));
            }
        }
    }
    return list.count;
}

unsigned det_font_next(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    if (*p == '\0')
        return 0;
    const unsigned character = *p++;
    int more = character >= 0xF0 ? 3 : character >= 0xE0 ? 2 : character >= 0xC0 ? 1 : 0;
    for (; more > 0 && (*p & 0xC0) == 0x80; more--)
        p++;
    *text = (const char *)p;
    return character >= 32 && character < 127 ? character : '?';
}
