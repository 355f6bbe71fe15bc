# What reading data sets takes from libraries: XML annotations (expat), YOLO's data.yaml (libyaml), zip archives (libzip). The build
# needs their headers alone, libdet loads the libraries at run time. Where pkg-config does not find one (or with XML=0, YAML=0, ZIP=0),
# libdet/convert/*none_*.c stands in and says so.

has_library = $(if $(filter 0,$($(1))),,$(shell $(PKG_CONFIG) --exists $(2) 2>/dev/null && echo 1))
WITH_EXPAT := $(call has_library,XML,expat)
WITH_YAML  := $(call has_library,YAML,yaml-0.1)
WITH_ZIP   := $(call has_library,ZIP,libzip)
FOUND_XML  := $(or $(WITH_EXPAT),0)
FOUND_YAML := $(or $(WITH_YAML),0)
FOUND_ZIP  := $(or $(WITH_ZIP),0)

DATA_TEXT := Data sets: $(if $(WITH_EXPAT),with,without) XML annotations (expat), $(if $(WITH_YAML),with,without) YOLO's data.yaml (libyaml), $(if $(WITH_ZIP),with,without) zip archives (libzip); loaded at run time.
DATA_LEFT_OUT := libdet/convert/read/$(if $(WITH_EXPAT),none,expat)_xml.c libdet/convert/read/$(if $(WITH_YAML),none,libyaml)_yaml.c libdet/convert/$(if $(WITH_ZIP),none,libzip)_zip.c
