#include <libswscale/swscale.h>

#include "video/ffmpeg_parts.h"

enum AVColorSpace video_colour_space(enum AVColorSpace space, int height)
{
    if (space != AVCOL_SPC_UNSPECIFIED && space != AVCOL_SPC_RESERVED && space != AVCOL_SPC_RGB)
        return space;
    return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

void video_set_colours(struct SwsContext *scaler, enum AVColorSpace space, bool full_range,
                       int height, bool to_rgb)
{
    const enum AVColorSpace known = video_colour_space(space, height);
    const int *yuv = sws_getCoefficients(known == AVCOL_SPC_BT709        ? SWS_CS_ITU709
                                         : known == AVCOL_SPC_FCC        ? SWS_CS_FCC
                                         : known == AVCOL_SPC_SMPTE240M  ? SWS_CS_SMPTE240M
                                         : known == AVCOL_SPC_BT2020_NCL ? SWS_CS_BT2020
                                         : known == AVCOL_SPC_BT2020_CL  ? SWS_CS_BT2020
                                                                         : SWS_CS_ITU601);
    const int *rgb = sws_getCoefficients(SWS_CS_DEFAULT);
    /* Brightness 0, contrast and saturation 1 in 16.16. Formats that are RGB themselves refuse,
     * which is right. */
    if (to_rgb)
        sws_setColorspaceDetails(scaler, yuv, full_range, rgb, 1, 0, 1 << 16, 1 << 16);
    else
        sws_setColorspaceDetails(scaler, rgb, 1, yuv, full_range, 0, 1 << 16, 1 << 16);
}
