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
