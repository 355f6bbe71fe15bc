# What the library takes from libwebp: WebP pictures. The build needs its headers alone, libdet/data/image_webp.c loads the library
# at run time. Where pkg-config does not find them (or with WEBP=0), libdet/data/none_webp.c stands in for it and says so.

WEBP_PACKAGES  := libwebp libwebpdemux
WITH_WEBP      := $(if $(filter 0,$(WEBP)),,$(shell $(PKG_CONFIG) --exists $(WEBP_PACKAGES) 2>/dev/null && echo 1))
FOUND_WEBP     := $(or $(WITH_WEBP),0)
IMAGE_LEFT_OUT := libdet/data/$(if $(WITH_WEBP),none,image)_webp.c
IMAGE_TEXT     := $(if $(WITH_WEBP),With WebP (libwebp is loaded at run time).,Without WebP: libwebp's development files were not found.)
