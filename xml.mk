# What det-data takes from expat: the readers of XML annotations. The library does not link it. Where pkg-config does not find it
# (or with XML=0), tools/data/none_xml.c stands in for tools/data/expat_xml.c and says so.

WITH_EXPAT := $(if $(filter 0,$(XML)),,$(shell $(PKG_CONFIG) --exists expat 2>/dev/null && echo 1))
EXPAT_LIBS := $(if $(WITH_EXPAT),$(shell $(PKG_CONFIG) --libs expat))
XML_TEXT   := $(if $(WITH_EXPAT),With XML annotations (expat).,Without XML annotations: expat's development files were not found.)
XML_LEFT_OUT := tools/data/$(if $(WITH_EXPAT),none,expat)_xml.c
# What the tests take of it: the readers.
XML_OBJ := $(patsubst %.c,$(OBJ)/%.o,$(filter-out $(XML_LEFT_OUT),$(wildcard tools/data/*xml*.c tools/data/read_*.c)))

$(BUILD)/bin/det-data: TOOL_LIBS = $(EXPAT_LIBS)
