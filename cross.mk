# cross.mk: how libdet is built for another machine than this one, and tested here by qemu-user. Included by the Makefile.
#
#   make CROSS=aarch64-linux-gnu [SYSROOT=DIR]     by aarch64-linux-gnu-gcc, into build/aarch64-linux-gnu/
#
# SYSROOT holds the other machine's libraries (tests/cross/sysroot.sh makes one); without it they are looked for where Debian puts those
# of a foreign architecture (dpkg --add-architecture).

ifneq ($(SYSROOT),)
CROSS_CPPFLAGS := --sysroot=$(SYSROOT)
# Named too, or Debian's compiler takes its own C library before that of the folder.
CROSS_LDFLAGS  := --sysroot=$(SYSROOT) -L$(SYSROOT)/usr/lib/$(CROSS)
endif
ifneq ($(CROSS),)
PKG_CONFIG ?= PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(CROSS)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig pkg-config
endif
PKG_CONFIG ?= $(strip $(foreach v,PKG_CONFIG_PATH PKG_CONFIG_LIBDIR,$(if $($v),$v='$($v)')) pkg-config)
FOUND_PKG_CONFIG := $(PKG_CONFIG)

# All groups but those that take long under emulation: readers, kernels, goldens of the network, detector, and the tools from a training to
# detections. Some 5 minutes of two processors with the build; T="test_training" asks for others, T=test_ for all (an hour).
CROSS_SLOW   := test_bf16_training test_class_match test_detector_tiles test_durability test_endurance test_evaluation test_evaluation_ranks test_export_onnx test_export_onnx_eight_bits test_export_tf_checkpoint test_export_tflite test_export_tflite_q8 \
                test_export_tool test_fine_tuning test_first_run test_forks test_lifeline test_lifeline_faults test_lifeline_strangers test_quantisation test_recalibration test_recalibration_ranks test_review test_spec test_terminal test_trained_in_8_bits \
                test_tf_resume test_tool_outputs test_trainer test_trainer_eval test_trainer_ranks test_training test_video
CROSS_GROUPS  = $(filter-out $(CROSS_SLOW),$(basename $(notdir $(TEST_SRC))))
CROSS_TARGET := $(or $(CROSS),aarch64-linux-gnu)
CROSS_ROOT   := $(or $(SYSROOT),build/$(CROSS_TARGET)/sysroot)
.PHONY: test-cross
test-cross: ## build for CROSS (aarch64-linux-gnu) and run tests of it under qemu-user (T=name; needs gcc-CROSS and qemu-user-static)
	$(if $(SYSROOT),,$(Q)tests/cross/sysroot.sh $(CROSS_TARGET) $(CROSS_ROOT))
	$(Q)$(MAKE) CROSS=$(CROSS_TARGET) SYSROOT=$(CROSS_ROOT) all build/$(CROSS_TARGET)/$(CONFIG)/bin/det-tests
	tests/cross/run.sh $(CROSS_TARGET) $(CROSS_ROOT) build/$(CROSS_TARGET)/$(CONFIG) $(or $(T),$(addprefix =,$(CROSS_GROUPS)))

# musl: its headers alone, since the libraries here are built for another C library. What stands in a header of this machine's own is
# an error: musl-gcc would find it behind musl's.
$(BUILD)/musl/glibc.txt:
	@mkdir -p $(@D)
	$(Q)dpkg -L libc6-dev | grep '\.h$$' > $@
define musl
	@mkdir -p $(@D)
	$(say) MUSL $(@:$(BUILD)/musl/%.ok=%.c)
	$(Q)musl-gcc $(CPPFLAGS_ALL) -idirafter /usr/include -idirafter /usr/include/$(ARCH)-linux-gnu -Itools -std=c11 $(WARNINGS) -Werror $(call isa_of,$@) -fsyntax-only -MD -MF $(@:.ok=.d) -MT $@ $<
	$(Q)! tr -s ' ' '\n' < $(@:.ok=.d) | grep -xFf $(BUILD)/musl/glibc.txt || { echo "$<: not in musl" >&2; exit 1; }
	@touch $@
endef
$(BUILD)/musl/%.ok: %.c $(BUILD)/musl/glibc.txt
	$(musl)
define musl_for_set
$(BUILD)/musl/%_$(1).ok: %.isa.c $(BUILD)/musl/glibc.txt
	$$(musl)
$(BUILD)/musl/%_$(1).ok: %.set.c $(BUILD)/musl/glibc.txt
	$$(musl)
endef
.PHONY: musl-check
musl-check: ## compile the library, tools and examples against musl's headers (needs musl-tools)
	$(Q)$(MAKE) $(patsubst $(BUILD)/tidy/%,$(BUILD)/musl/%,$(filter-out $(addprefix $(BUILD)/tidy/,libdet/devices/cuda/% libdet/ranks/mpi/% tools/video/ffmpeg_% tools/detect/sdl_%),$(TIDY)))
