# What the library takes from libwebp: WebP pictures. Where pkg-config does not find it (or with WEBP=0), libdet/data/none_webp.c
# stands in for libdet/data/image_webp.c and says so.

WEBP_PACKAGES  := libwebp libwebpdemux
WITH_WEBP      := $(if $(filter 0,$(WEBP)),,$(shell $(PKG_CONFIG) --exists $(WEBP_PACKAGES) 2>/dev/null && echo 1))
IMAGE_LEFT_OUT := libdet/data/$(if $(WITH_WEBP),none,image)_webp.c
IMAGE_TEXT     := $(if $(WITH_WEBP),With WebP (libwebp).,Without WebP: libwebp's development files were not found.)
LIBS           += $(if $(WITH_WEBP),$(shell $(PKG_CONFIG) --libs $(WEBP_PACKAGES)))
