# words.mk: what a build was told, kept for what uses it. Included by the Makefile.
#
# all, lib, tools, examples and check-deps take the words they are given (on the command line, in the environment) and defaults. Every
# other goal (test, install, bench, ...) uses a build, and takes the words it is not given from the last one in $(BUILD): after
# `make CUDA=0 CC=clang`, `sudo make install` and `make test` compile nothing. What that build found by looking (nvcc, pkg-config, the
# optional libraries) counts as given: sudo has another PATH and another environment.

WORDS      := CC CXX AR CPPFLAGS CFLAGS LDFLAGS WERROR PREFIX SYSROOT CUDA NVCC CUDA_TARGET CUDA_ARCHS LINEINFO MPI MPICC \
              PKG_CONFIG VIDEO VIEW XML YAML ZIP WEBP
WORDS_FILE := $(BUILD)/words.mk
NEW_GOALS  := all lib tools examples check-deps
ifeq ($(filter $(NEW_GOALS),$(or $(MAKECMDGOALS),all)),)
$(eval $(file <$(WORDS_FILE)))
endif

given = $(or $(filter command environment,$(firstword $(origin $(1)))),$(filter $(1),$(KEPT_WORDS)))
# One word in that file: what is given then is stronger.
define kept_word
ifneq ($$(filter default undefined,$$(origin $(1))),)
$(if $(3),KEPT_WORDS += $(1))
define $(1)
$(2)
endef
endif

endef
define WORDS_TEXT
$(foreach w,$(WORDS),$(if $(or $(FOUND_$w),$(call given,$w)),$(call kept_word,$w,$(or $(FOUND_$w),$(value $w)),$(call given,$w))))
endef
KEPT_TEXT = As built before: $(foreach w,$(KEPT_WORDS),$w='$($w)')

# A file of text that make knows, $(2) names the variable: written anew when it has changed, and only then, so that what depends on it
# is remade; `make -n` knows that, too. Who reads it meanwhile reads all of the old one.
define text_file
ifneq ($$(file <$(1)),$$($(2)))
$(1): FORCE
endif
$(1): export TEXT = $$($(2))
$(1):
	@mkdir -p $$(@D)
	@printf '%s\n' "$$$$TEXT" > $$@.new && mv $$@.new $$@
endef
.PHONY: FORCE
FORCE:
