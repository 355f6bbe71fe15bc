# What det-data takes from libraries that libdet does not link: XML annotations (expat), YOLO's data.yaml (libyaml), data sets in zip
# archives (libzip). Where pkg-config does not find one (or with XML=0, YAML=0, ZIP=0), tools/data/none_*.c stands in and says so.

has_library = $(if $(filter 0,$($(1))),,$(shell $(PKG_CONFIG) --exists $(2) 2>/dev/null && echo 1))
WITH_EXPAT := $(call has_library,XML,expat)
WITH_YAML  := $(call has_library,YAML,yaml-0.1)
WITH_ZIP   := $(call has_library,ZIP,libzip)
FOUND_XML  := $(or $(WITH_EXPAT),0)
FOUND_YAML := $(or $(WITH_YAML),0)
FOUND_ZIP  := $(or $(WITH_ZIP),0)

DATA_PACKAGES := $(if $(WITH_EXPAT),expat) $(if $(WITH_YAML),yaml-0.1) $(if $(WITH_ZIP),libzip)
DATA_LIBS := $(if $(strip $(DATA_PACKAGES)),$(shell $(PKG_CONFIG) --libs $(DATA_PACKAGES)))
DATA_TEXT := det-data: $(if $(WITH_EXPAT),with,without) XML annotations (expat), $(if $(WITH_YAML),with,without) YOLO's data.yaml (libyaml), $(if $(WITH_ZIP),with,without) zip archives (libzip).
DATA_LEFT_OUT := tools/data/$(if $(WITH_EXPAT),none,expat)_xml.c tools/data/$(if $(WITH_YAML),none,libyaml)_yaml.c tools/data/$(if $(WITH_ZIP),none,libzip)_zip.c
# What the tests take of it: all but the commands.
DATA_READER_SRC := $(sort $(filter-out $(DATA_LEFT_OUT) tools/data/commands.c tools/data/init.c tools/data/sources.c,$(wildcard tools/data/*.c)))
DATA_READER_OBJ := $(DATA_READER_SRC:%.c=$(OBJ)/%.o)

$(BUILD)/bin/det-data: TOOL_LIBS = $(DATA_LIBS)
