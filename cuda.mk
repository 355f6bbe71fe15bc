# cuda.mk: how the CUDA backend is built: by nvcc, or for the CPU by g++ (CONFIG=cuda-emu). Included by the Makefile.

CXX  ?= g++
NVCC ?= $(or $(shell command -v nvcc 2>/dev/null),$(wildcard /usr/local/cuda/bin/nvcc))

# CUDA=auto builds the backend where nvcc, cublasLt and cuDNN are all there; 1 insists; 0 leaves it out. Only in CONFIG=release.
CUDA ?= auto
ifeq ($(CONFIG)-$(filter-out 0,$(CUDA)),release-$(CUDA))
CUDA_HOME    := $(if $(NVCC),$(patsubst %/bin/nvcc,%,$(realpath $(NVCC))))
CUDA_HEADERS := $(and $(wildcard $(CUDA_HOME)/include/cublasLt.h),$(wildcard $(CUDA_HOME)/include/cudnn.h /usr/include/cudnn.h /usr/include/x86_64-linux-gnu/cudnn.h /usr/local/include/cudnn.h))
WITH_CUDA    := $(and $(CUDA_HOME),$(CUDA_HEADERS))
ifeq ($(CUDA)-$(WITH_CUDA),1-)
$(error CUDA=1, but nvcc, cublasLt.h or cudnn.h is missing (NVCC=$(NVCC)))
endif
endif

ifneq ($(WITH_CUDA),)
# All that this nvcc knows of these, and PTX of the last for what comes later.
CUDA_ARCHS   ?= $(filter 75 80 86 89 90 100 120,$(subst compute_,,$(shell $(NVCC) --list-gpu-arch)))
CUDA_OBJ     := $(KERNEL_SRC:%.cu=$(OBJ)/%.o) $(CUDA_SRC:%.c=$(OBJ)/%.o)
CUDA_INCLUDE := -isystem $(CUDA_HOME)/include -Ikernels
CUDA_LIBS    := -L$(CUDA_HOME)/lib64 -lcublasLt -lcudnn $(CUDA_HOME)/lib64/libcudart_static.a -ldl -lrt
LIBS         += $(CUDA_LIBS)
# No C++ library behind the kernels: no exceptions, no guarded statics.
NVCC_FLAGS   := -std=c++17 -O3 -lineinfo $(if $(filter 1,$(WERROR)),-Werror all-warnings) --threads 2 -Xptxas -v \
                -Xcompiler -fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics \
                $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
                -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))

$(OBJ)/libdet/backend/cuda/%.o: CPPFLAGS_ALL += $(CUDA_INCLUDE)
$(OBJ)/libdet/backend/registry.o: CPPFLAGS_ALL += -DDET_WITH_CUDA
# What ptxas says of registers and spills stays beside the object, for cuda-check.
$(OBJ)/%.o: %.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) NVCC $<
	$(Q)$(NVCC) $(CPPFLAGS_ALL) -Ikernels $(NVCC_FLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2> $@.log || (cat $@.log >&2; exit 1)
endif

.PHONY: cuda
cuda: ## the CUDA backend for all architectures, and the library linked with it
	$(Q)$(MAKE) CONFIG=release CUDA=1 all

ifeq ($(CONFIG),cuda-emu)
EMU_SRC      := $(sort $(wildcard tests/cuda_emu/*.cc))
CUDA_OBJ     := $(KERNEL_SRC:%.cu=$(OBJ)/%.o) $(CUDA_SRC:%.c=$(OBJ)/%.o) $(EMU_SRC:%.cc=$(OBJ)/%.o)
CPPFLAGS_ALL += -DDET_CUDA_EMU -DDET_WITH_CUDA -Itests/cuda_emu/include -Ikernels
WITH_CUDA    := emulated
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
