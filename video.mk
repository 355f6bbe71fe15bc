# What the tools take from FFmpeg (video) and SDL2 (a window). The library links neither. What pkg-config does not find is
# left out, file by file: tools/video/none_*.c then stand in for tools/video/ffmpeg_*.c, and say so. VIDEO=0, VIEW=0 leave it out.

FFMPEG_PACKAGES := libavformat libavcodec libavutil libswscale libavdevice
have = $(shell pkg-config --exists $(1) 2>/dev/null && echo 1)
WITH_FFMPEG := $(if $(filter 0,$(VIDEO)),,$(call have,$(FFMPEG_PACKAGES)))
WITH_SDL    := $(if $(filter 0,$(VIEW)),,$(call have,sdl2))
FFMPEG_LIBS := $(if $(WITH_FFMPEG),$(shell pkg-config --libs $(FFMPEG_PACKAGES)))
SDL_LIBS    := $(if $(WITH_SDL),$(shell pkg-config --libs sdl2))
VIDEO_CFLAGS := $(if $(WITH_FFMPEG),$(shell pkg-config --cflags $(FFMPEG_PACKAGES))) $(if $(WITH_SDL),$(shell pkg-config --cflags sdl2))
VIDEO_TEXT  := $(if $(WITH_FFMPEG),With video (FFmpeg).,Without video: FFmpeg's development files were not found.) \
               $(if $(WITH_SDL),With a window (SDL2).,Without a window: SDL2 was not found.)

VIDEO_LEFT_OUT := $(wildcard $(if $(WITH_FFMPEG),tools/video/none_*.c,tools/video/ffmpeg_*.c) $(if $(WITH_SDL),tools/detect/none_*.c,tools/detect/sdl_*.c))
VIDEO_SRC := $(sort $(filter-out $(VIDEO_LEFT_OUT),$(wildcard tools/video/*.c)))
VIDEO_ABOUT := $(if $(WITH_FFMPEG),tools/video/ffmpeg_about.c,tools/video/none_about.c)
VIDEO_OBJ := $(VIDEO_SRC:%.c=$(OBJ)/%.o)

$(BUILD)/bin/det-detect $(BUILD)/bin/det-demo-data: $(VIDEO_OBJ)
$(BUILD)/bin/det-info: $(VIDEO_ABOUT:%.c=$(OBJ)/%.o)
$(BUILD)/bin/det-detect: TOOL_LIBS = $(FFMPEG_LIBS) $(SDL_LIBS)
$(BUILD)/bin/det-demo-data: TOOL_LIBS = $(FFMPEG_LIBS)
