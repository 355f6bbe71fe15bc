# isa_emu.mk: the AVX-512 and AVX-VNNI code compiled for a processor with AVX2 (CONFIG=isa-emu, isa-emu-asan), by SIMDe's headers. Included
# by the Makefile.

# The groups that compare instruction sets with ref, with TensorFlow or with plain sums.
ISA_GROUPS := conv net ops_bias_backward ops_conv ops_elementwise ops_gradient ops_bn pairs prepared prepared_kernels model prepared_q8 q8_stem

ifneq ($(filter isa-emu%,$(CONFIG)),)
AVX512     := -mavx2 -mfma -Wno-psabi -include tests/isa_emu/avx512.h
AVX512BF16 :=
AVXVNNI    := -include tests/isa_emu/avxvnni.h
AVX512VNNI := -O1 # at -O2 the emulated tiles take minutes to compile
LIB_SRC    := $(filter-out libdet/ops/cpu/isa/cpu_features_x86.c,$(LIB_SRC)) tests/isa_emu/cpu_features.c
TEST_SRC   := $(filter $(ISA_GROUPS:%=tests/unit/test_%.c) $(ISA_GROUPS:%=tests/parity/test_%.c),$(TEST_SRC))
endif

HAVE_SIMDE = $(shell $(CC) $(CPPFLAGS) -include simde/x86/avx512.h -E -x c /dev/null >/dev/null 2>&1 && echo 1)
.PHONY: test-isa-emu test-isa-emu-asan build-isa-emu build-isa-emu-asan
build-isa-emu:
	$(if $(HAVE_SIMDE),$(Q)$(MAKE) CONFIG=isa-emu build/isa-emu/bin/det-tests)
build-isa-emu-asan:
	$(if $(HAVE_SIMDE),$(Q)$(MAKE) CONFIG=isa-emu-asan build/isa-emu-asan/bin/det-tests)
test-isa-emu: build-isa-emu ## the AVX-512 code on a processor with AVX2 only (T=name; needs SIMDe's headers: libsimde-dev)
	$(if $(HAVE_SIMDE),build/isa-emu/bin/det-tests $(JOBS:%=-j %) $(T),@echo "skipped: no SIMDe here (libsimde-dev), the AVX-512 code was not run")
test-isa-emu-asan: build-isa-emu-asan ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	$(if $(HAVE_SIMDE),build/isa-emu-asan/bin/det-tests $(JOBS:%=-j %) $(T),@echo "skipped: no SIMDe here (libsimde-dev), the AVX-512 code was not run")
