# cuda.mk: how the CUDA backend is built: by nvcc, or for the CPU by g++ (CONFIG=cuda-emu). Included by the Makefile.

CXX ?= g++

ifeq ($(CONFIG),cuda-emu)
EMU_SRC      := $(sort $(wildcard tests/cuda_emu/*.cc))
CUDA_OBJ     := $(KERNEL_SRC:%.cu=$(OBJ)/%.o) $(CUDA_SRC:%.c=$(OBJ)/%.o) $(EMU_SRC:%.cc=$(OBJ)/%.o)
CPPFLAGS_ALL += -DDET_CUDA_EMU -DDET_WITH_CUDA -Itests/cuda_emu/include -Ikernels
LIBS         += -lstdc++
CXXFLAGS_EMU := -std=c++17 -g -fPIC -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas $(if $(filter 1,$(WERROR)),-Werror)

CUDA_TEST_SRC := $(sort $(wildcard tests/cuda/test_*.c))
CUDA_TEST_OBJ := $(CUDA_TEST_SRC:%.c=$(OBJ)/%.o) $(OBJ)/tests/cuda/support/device.o $(TEST_SUPPORT_SRC:%.c=$(OBJ)/%.o) $(OBJ)/tests/cuda/runner.o
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
