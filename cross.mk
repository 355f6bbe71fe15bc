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
PKG_CONFIG ?= pkg-config

# Readers, kernels, goldens of the network and of a training step, detector, and the tools from a training to detections: some minutes
# of two processors. T="test_training" asks for other groups, T=test_ for all of them (an hour).
CROSS_GROUPS := base label_map prototext protowire tf_ tfrecord image loader weights anchors box_coder targets losses hard_examples \
                postprocess optimizer schedule resize head_goldens preprocess test_model net ops_ pairs prepared_kernels restore detector_batch tools
CROSS_TARGET := $(or $(CROSS),aarch64-linux-gnu)
CROSS_ROOT   := $(or $(SYSROOT),build/$(CROSS_TARGET)/sysroot)
.PHONY: test-cross
test-cross: ## build for CROSS (aarch64-linux-gnu) and run tests of it under qemu-user (T=name; needs gcc-CROSS and qemu-user-static)
	$(if $(SYSROOT),,$(Q)tests/cross/sysroot.sh $(CROSS_TARGET) $(CROSS_ROOT))
	$(Q)$(MAKE) CROSS=$(CROSS_TARGET) SYSROOT=$(CROSS_ROOT) all build/$(CROSS_TARGET)/$(CONFIG)/bin/det-tests
	tests/cross/run.sh $(CROSS_TARGET) $(CROSS_ROOT) build/$(CROSS_TARGET)/$(CONFIG) $(or $(T),$(CROSS_GROUPS))
