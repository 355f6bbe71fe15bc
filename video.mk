# What the tools take from FFmpeg (video) and SDL2 (a window). The library links neither, the tools load what was made of them here:
# lib/libdet/det-video.so (tools/video/ffmpeg_*.c) and det-view.so (tools/detect/sdl_view.c). What pkg-config does not find is left out,
# and tools/*/none_*.c say so. VIDEO=0, VIEW=0 leave it out.

FFMPEG_PACKAGES := libavformat libavcodec libavutil libswscale libavdevice
have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo 1)
WITH_FFMPEG := $(if $(filter 0,$(VIDEO)),,$(call have,$(FFMPEG_PACKAGES)))
WITH_SDL    := $(if $(filter 0,$(VIEW)),,$(call have,sdl2))
FOUND_VIDEO := $(or $(WITH_FFMPEG),0)
FOUND_VIEW  := $(or $(WITH_SDL),0)
VIDEO_CFLAGS := $(if $(WITH_FFMPEG),$(shell $(PKG_CONFIG) --cflags $(FFMPEG_PACKAGES))) $(if $(WITH_SDL),$(shell $(PKG_CONFIG) --cflags sdl2))
VIDEO_TEXT  := $(if $(WITH_FFMPEG),With video (FFmpeg).,Without video: FFmpeg's development files were not found.) \
               $(if $(WITH_SDL),With a window (SDL2).,Without a window: SDL2 was not found.)

# Not compiled in this build (the linter asks); not part of a program.
VIDEO_LEFT_OUT := $(wildcard $(if $(WITH_FFMPEG),tools/video/none_*.c,tools/video/ffmpeg_*.c) $(if $(WITH_SDL),tools/detect/none_*.c,tools/detect/sdl_*.c tools/detect/load_view.c))
PLUGIN_SRC  := $(filter-out $(VIDEO_LEFT_OUT) %_about.c,$(wildcard tools/video/ffmpeg_*.c tools/detect/sdl_*.c))
PLUGINS     := $(strip $(if $(WITH_FFMPEG),$(BUILD)/lib/libdet/det-video.so) $(if $(WITH_SDL),$(BUILD)/lib/libdet/det-view.so))
VIDEO_ABOUT := $(if $(WITH_FFMPEG),tools/video/ffmpeg_about.c,tools/video/none_about.c)
VIDEO_SRC   := tools/video/load_video.c tools/video/plugin.c tools/video/build.c $(VIDEO_ABOUT)

$(BUILD)/bin/det-detect $(BUILD)/shared/bin/det-detect $(BUILD)/bin/det-demo-data: $(VIDEO_SRC:%.c=$(OBJ)/%.o) | $(PLUGINS)
$(BUILD)/bin/det-info $(BUILD)/shared/bin/det-info: $(VIDEO_ABOUT:%.c=$(OBJ)/%.o)
$(BUILD)/bin/det-detect $(BUILD)/bin/det-demo-data: TOOL_LIBS = -ldl

# tests/unit/test_image_view.c compares with swscale where it is.
$(OBJ)/tests/unit/test_image_view.o: CPPFLAGS_ALL += $(if $(WITH_FFMPEG),-DDET_WITH_SWSCALE $(VIDEO_CFLAGS))
$(RUNNER): TOOL_LIBS = $(if $(WITH_FFMPEG),$(shell $(PKG_CONFIG) --libs libswscale))

# They live on support/ and the libraries that they are for.
$(PLUGINS): $(BUILD)/lib/libdet/det-%.so: $(SUPPORT_OBJ) $(EXPORTS)
	$(link_loaded)
plugin_parts = $(patsubst %.c,$(OBJ)/%.o,$(filter $(1)%,$(PLUGIN_SRC)) tools/video/build.c)
$(BUILD)/lib/libdet/det-video.so: $(call plugin_parts,tools/video/)
$(BUILD)/lib/libdet/det-video.so: TOOL_LIBS = $(shell $(PKG_CONFIG) --libs $(FFMPEG_PACKAGES))
$(BUILD)/lib/libdet/det-view.so: $(call plugin_parts,tools/detect/)
$(BUILD)/lib/libdet/det-view.so: TOOL_LIBS = $(shell $(PKG_CONFIG) --libs sdl2)
