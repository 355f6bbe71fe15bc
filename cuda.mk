# cuda.mk: how the CUDA backend is built: by nvcc, or for the CPU by g++ (CONFIG=cuda-emu). Included by the Makefile.

CXX ?= g++

ifeq ($(CONFIG),cuda-emu)
EMU_SRC      := $(sort $(wildcard tests/cuda_emu/*.cc))
CUDA_OBJ     := $(KERNEL_SRC:%.cu=$(OBJ)/%.o) $(CUDA_SRC:%.c=$(OBJ)/%.o) $(EMU_SRC:%.cc=$(OBJ)/%.o)
CPPFLAGS_ALL += -DDET_CUDA_EMU -DDET_WITH_CUDA -Itests/cuda_emu/include -Ikernels
LIBS         += -lstdc++
CXXFLAGS_EMU := -std=c++17 -g -fPIC -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas $(if $(filter 1,$(WERROR)),-Werror)

CUDA_TEST_SRC := $(sort $(wildcard tests/cuda/test_*.c))
CUDA_SUPPORT_SRC := $(sort $(wildcard tests/cuda/support/*.c))
CUDA_TEST_OBJ := $(CUDA_TEST_SRC:%.c=$(OBJ)/%.o) $(OBJ)/tests/cuda/planted/planted.o $(CUDA_SUPPORT_SRC:%.c=$(OBJ)/%.o) $(TEST_SUPPORT_SRC:%.c=$(OBJ)/%.o) $(OBJ)/tests/cuda/runner.o
CUDA_RUNNER   := $(BUILD)/bin/det-cuda-emu-tests

$(OBJ)/%.o: %.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) EMU $<
	$(Q)$(CXX) -x c++ $(CPPFLAGS_ALL) $(CXXFLAGS_EMU) -MMD -MP -c $< -o $@
$(OBJ)/%.o: %.cc $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) CXX $<
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_EMU) -MMD -MP -c $< -o $@
endif

# The tests of kernels and backend (tests/cuda): one runner, like the Makefile's own.
ifneq ($(CUDA_RUNNER),)
$(BUILD)/gen-cuda/test_groups.inc: $(CUDA_TEST_SRC) Makefile cuda.mk
	@mkdir -p $(@D)
	$(Q)printf '%s\n' $(patsubst %,'X(%)',$(basename $(notdir $(CUDA_TEST_SRC)))) > $@
$(CUDA_TEST_OBJ): | $(BUILD)/gen-cuda/test_groups.inc $(BUILD)/gen/test_groups.inc
$(OBJ)/tests/cuda/runner.o: tests/runner.c $(BUILD)/gen-cuda/test_groups.inc $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests -I$(BUILD)/gen-cuda $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(CUDA_RUNNER): $(CUDA_TEST_OBJ) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka
endif

.PHONY: test-cuda-emu build-cuda-emu
build-cuda-emu: $(if $(filter cuda-emu,$(CONFIG)),$(CUDA_RUNNER))
	$(if $(filter cuda-emu,$(CONFIG)),,$(Q)$(MAKE) CONFIG=cuda-emu build-cuda-emu)
test-cuda-emu: ## the CUDA kernels and backend on the CPU, without a GPU (T=name; DET_EMU_SCHEDULE=forward|backward|random:SEED)
	$(Q)$(MAKE) CONFIG=cuda-emu build-cuda-emu
	build/cuda-emu/bin/det-cuda-emu-tests $(T)
