# cuda.mk: how the CUDA backend is built: by nvcc, or for the CPU by g++ (CONFIG=cuda-emu). Included by the Makefile.

CXX  ?= g++
ifeq ($(origin NVCC),undefined)
NVCC := $(or $(shell command -v nvcc 2>/dev/null),$(wildcard /usr/local/cuda/bin/nvcc))
endif

# What decides over the code that nvcc makes of a kernel.
NVCC_LANGUAGE := -std=c++17 -O3

# CUDA=auto builds the backend where nvcc, cublasLt and cuDNN are all there; 1 insists; 0 leaves it out. Only in CONFIG=release. Built for
# another machine (CROSS=aarch64-linux-gnu) it needs that machine's C++ compiler, and its CUDA runtime in CUDA_TARGET/lib.
CUDA ?= auto
ifeq ($(CONFIG)-$(filter-out 0,$(CUDA)),release-$(CUDA))
CUDA_HOME    := $(if $(NVCC),$(patsubst %/bin/nvcc,%,$(realpath $(NVCC))))
CUDA_TARGETS_aarch64 := sbsa-linux aarch64-linux
CUDA_TARGETS := $(addprefix $(CUDA_HOME)/targets/,$(or $(CUDA_TARGETS_$(ARCH)),$(ARCH)-linux))
CUDA_TARGET  ?= $(if $(CROSS),$(firstword $(wildcard $(CUDA_TARGETS)) $(CUDA_TARGETS)),$(CUDA_HOME))
CUDA_RUNTIME := $(firstword $(wildcard $(addprefix $(CUDA_TARGET)/,lib64/libcudart_static.a lib/libcudart_static.a)))
CUDA_HEADER_FOLDERS := $(CUDA_TARGET)/include $(CUDA_HOME)/include $(SYSROOT)/usr/include $(SYSROOT)/usr/include/$(ARCH)-linux-gnu /usr/local/include
cuda_header   = $(firstword $(wildcard $(addsuffix /$(1),$(CUDA_HEADER_FOLDERS))))
CUDA_MISSING := $(strip $(if $(CUDA_HOME),,nvcc) $(foreach h,cublasLt.h cudnn.h,$(if $(call cuda_header,$(h)),,$(h))) \
                $(if $(CUDA_RUNTIME),,libcudart_static.a) \
                $(if $(CROSS),$(if $(shell command -v $(CROSS)-g++ 2>/dev/null),,$(CROSS)-g++)))
WITH_CUDA    := $(if $(CUDA_MISSING),,$(CUDA_HOME))
ifeq ($(CUDA)-$(WITH_CUDA),1-)
$(error CUDA=1, but what is missing: $(CUDA_MISSING) (NVCC=$(NVCC), CUDA_TARGET=$(CUDA_TARGET)))
endif
# 12.0 is the first whose cudaGraphInstantiate takes three arguments (cuda_graph.c).
ifneq ($(WITH_CUDA),)
CUDART_VERSION := $(shell sed -n 's/^.define CUDART_VERSION *//p' $(CUDA_HOME)/include/cuda_runtime_api.h)
ifneq ($(shell test '$(CUDART_VERSION)' -lt 12000 2>/dev/null && echo old),)
CUDA_TOO_OLD := CUDA in $(CUDA_HOME) is version $(CUDART_VERSION), 12000 (CUDA 12.0) or newer is needed
$(if $(filter 1,$(CUDA)),$(error CUDA=1, but $(CUDA_TOO_OLD)),$(warning $(CUDA_TOO_OLD): building for the CPU only))
WITH_CUDA    :=
endif
endif
endif

ifneq ($(WITH_CUDA),)
# All that this nvcc knows of these, and PTX of the last front end for what comes later.
CUDA_ARCHS   ?= $(filter 75 80 86 87 89 90 100 120,$(subst compute_,,$(shell $(NVCC) --list-gpu-arch)))
# nvcc goes through a kernel once for architectures that get the same code so (docs/cuda.md): sm_75, 80 to 90, 100 and later.
ARCHS_75     := $(filter 75,$(CUDA_ARCHS))
ARCHS_80     := $(filter-out 75 1%,$(CUDA_ARCHS))
ARCHS_100    := $(filter 1%,$(CUDA_ARCHS))
FRONT_ENDS   := $(foreach f,75 80 100,$(if $(ARCHS_$(f)),$(f)))
PTX_ARCH     := $(lastword $(FRONT_ENDS))
comma        := ,
empty        :=
commas        = $(subst $(empty) $(empty),$(comma),$(strip $(1)))
# nvcc takes 1.6 s for a file, whatever is in it: kernels are compiled several files together, each file whole and once. The last unit has
# all that the others do not name.
KERNEL_UNITS := depthwise depthwise_gradients sums ends layers
UNIT_depthwise           := dwconv_forward
UNIT_depthwise_gradients := dwconv_backward_data dwconv_backward_weight
# Over pixels (kernels/reduce.cuh).
UNIT_sums    := bn_apply bn_backward bn_join bn_moving bn_statistics bias_backward reduce weight_gradient
# Of a step: pictures and detections, losses and update.
UNIT_ends    := accumulate_gradients checksum gradient_norm losses mean_gradients optimizer pictures postprocess preprocess targets
UNIT_layers  := $(filter-out $(foreach u,$(KERNEL_UNITS),$(UNIT_$u)),$(basename $(notdir $(KERNEL_SRC))))
KERNEL_OBJ   := $(KERNEL_UNITS:%=$(OBJ)/kernels/%.o)
unit_of       = $(UNIT_$(basename $(notdir $(1))):%=kernels/%.cu)
CUDA_OBJ     := $(KERNEL_OBJ) $(CUDA_SRC:%.c=$(OBJ)/%.o)
CUDA_INCLUDE := $(addprefix -isystem ,$(sort $(patsubst %/,%,$(dir $(call cuda_header,cublasLt.h) $(call cuda_header,cuda_runtime_api.h) $(filter-out /usr/include/%,$(call cuda_header,cudnn.h)))))) -Ikernels
# cublasLt, cuDNN and NCCL are loaded at run time (cuda_libraries.c, cuda_nccl.c).
CUDA_LIBS    := $(CUDA_RUNTIME) -lrt
# No C++ library behind the kernels: no exceptions, no guarded statics.
NVCC_FLAGS   := $(NVCC_LANGUAGE) $(if $(filter 1,$(LINEINFO)),-lineinfo) $(if $(filter 1,$(WERROR)),-Werror all-warnings) -Xptxas -v \
                $(if $(CROSS),-ccbin $(CROSS)-g++ $(filter-out -Ikernels,$(CUDA_INCLUDE))) -Xcompiler -fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics \
                $(foreach f,$(FRONT_ENDS),-gencode arch=compute_$(f)$(comma)code=[$(call commas,$(ARCHS_$(f):%=sm_%) $(if $(filter $(PTX_ARCH),$(f)),compute_$(f)))])

# Device code is a fifth so large (nvcc of CUDA 12.8 and newer).
NVCC_FLAGS   += $(if $(findstring --compress-mode,$(shell $(NVCC) --help)),-compress-mode=size)

NVCC_TEXT    := $(NVCC) $(CPPFLAGS_ALL) $(CUDA_INCLUDE) $(NVCC_FLAGS)
NVCC_STAMP   := $(BUILD)/nvcc.stamp
$(eval $(call text_file,$(NVCC_STAMP),NVCC_TEXT))
$(CUDA_OBJ): $(NVCC_STAMP)
$(OBJ)/libdet/devices/cuda/%.o: CPPFLAGS_ALL += $(CUDA_INCLUDE)
define unit_rules
define UNIT_TEXT_$(1)
$(subst $(empty) #,
#,$(UNIT_$(1):%=#include "kernels/%.cu"))
endef
$$(eval $$(call text_file,$(BUILD)/gen/kernels/$(1).cu,UNIT_TEXT_$(1)))
endef
$(foreach u,$(KERNEL_UNITS),$(eval $(call unit_rules,$u)))
# What ptxas says of registers and spills stays beside the object, PTX and machine code of each architecture in a folder: for cuda-check.
COMPILED = $(BUILD)/compiled/$(basename $(notdir $<))
$(OBJ)/kernels/%.o: $(BUILD)/gen/kernels/%.cu $(NVCC_STAMP)
	@rm -rf $(COMPILED) && mkdir -p $(@D) $(COMPILED)
	$(Q)bench/unit_names.sh $(call unit_of,$<)
	$(say) NVCC "$(call unit_of,$<)"
	$(Q)$(NVCC) $(filter-out $(CROSS_CPPFLAGS),$(CPPFLAGS_ALL)) -I. -Ikernels $(NVCC_FLAGS) --keep --keep-dir $(COMPILED) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2> $@.log || (cat $@.log >&2; exit 1)
	$(Q)find $(COMPILED) -type f ! -name '*.ptx' ! -name '*.cubin' -delete
endif

ifneq ($(filter cuda-emu cuda-cov,$(CONFIG)),)
EMU_SRC      := $(sort $(wildcard tests/cuda_emu/*.cc))
KERNEL_OBJ   := $(KERNEL_SRC:%.cu=$(OBJ)/%.o)
CUDA_OBJ     := $(KERNEL_OBJ) $(filter-out %/cuda_libraries.o %/cuda_nccl.o,$(CUDA_SRC:%.c=$(OBJ)/%.o)) $(EMU_SRC:%.cc=$(OBJ)/%.o)
CPPFLAGS_ALL += -DDET_CUDA_EMU -Itests/cuda_emu/include -Ikernels
WITH_CUDA    := emulated
CUDA_LIBS    := -lstdc++ $(if $(filter cuda-cov,$(CONFIG)),-lgcov)
CXXFLAGS_EMU := -std=c++17 $(if $(filter cuda-cov,$(CONFIG)),-g1,-g) -fPIC -fvisibility=hidden -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas $(if $(filter 1,$(WERROR)),-Werror)
# cuda-cov counts the lines of kernels/ that the tests reach.
KERNEL_COVERAGE := $(if $(filter cuda-cov,$(CONFIG)),--coverage)

CUDA_RUNNER   := $(BUILD)/bin/det-cuda-emu-tests
PLANTED_OBJ   := $(OBJ)/tests/cuda/planted/planted.o

$(OBJ)/%.o: %.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) EMU $<
	$(Q)$(CXX) -x c++ $(CPPFLAGS_ALL) $(CXXFLAGS_EMU) $(if $(filter kernels/%,$<),$(KERNEL_COVERAGE)) -MMD -MP -c $< -o $@
$(OBJ)/%.o: %.cc $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) CXX $<
	$(Q)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_EMU) -MMD -MP -c $< -o $@
endif

FOUND_CUDA   := $(if $(WITH_CUDA),1,0)
FOUND_NVCC   := $(NVCC)

# The backend, which libdet loads (libdet/devices/backend_library.h).
CUDA_LIBRARY := $(if $(WITH_CUDA),$(BUILD)/lib/libdet/det-cuda.so)
ifneq ($(CUDA_LIBRARY),)
$(CUDA_LIBRARY): $(CUDA_OBJ)
$(CUDA_LIBRARY): TOOL_LIBS = $(CUDA_LIBS)
endif

.PHONY: cuda
cuda: ## everything, with the CUDA backend for all architectures
	$(Q)$(MAKE) CONFIG=release CUDA=1 all

.PHONY: roofline
roofline: $(BUILD)/bin/roofline ## bytes, flops and time bounds of every launch on H100, H200, A100, V100, on paper
	$(Q)$< $(BUILD)/roofline.csv
$(BUILD)/bin/roofline: $(OBJ)/bench/roofline.o $(OBJ)/bench/roofline_plan.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

BENCH_CUDA_OBJ := $(patsubst %,$(OBJ)/bench/%.o,bench_cuda cuda_launches cuda_rows cudnn_peer cudnn_rows eight_bits json_line roofline_plan)
$(BENCH_CUDA_OBJ): CPPFLAGS_ALL += $(CUDA_INCLUDE)
$(BENCH_CUDA_OBJ): $(NVCC_STAMP) | $(BUILD)/test-libraries.stamp
# Looks into the backend, so it is linked with it.
$(BUILD)/bin/bench_cuda: $(BENCH_CUDA_OBJ) $(CUDA_OBJ) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CUDA_LIBS) $(LIBS)
.PHONY: gpu-check build-cuda-tests
gpu-check: ## whole jobs, tests, compute-sanitizer and operations on the machine's GPU, as JSON (GPU_CHECK="--only step,tests"; DET_GPU_BIN=.gpu/bin builds nothing)
	$(Q)bench/gpu_check.sh $(GPU_CHECK)

# What gpu-check needs on a machine without compiler, headers or network, in a folder to carry along (bench/gpu_bundle.sh). The programs
# look for their libraries beside themselves; the old tag of the path holds for what those libraries need, too.
GPU_BUNDLE   := .gpu
GPU_ARCHS    := $(if $(filter command environment,$(firstword $(origin CUDA_ARCHS))),$(CUDA_ARCHS),90)
GPU_TOOLS    := det-train det-eval det-export det-detect
GPU_FILES    := $(addprefix build/gpu/,bin/det-cuda-tests bin/bench_cuda bin/partner bin/det-demo-data $(GPU_TOOLS:%=shared/bin/%) lib/libdet/det-cuda.so)
.PHONY: gpu-bundle
gpu-bundle: ## programs, libraries and data for gpu-check elsewhere, into .gpu/ (CUDA_ARCHS=90; needs nvcc here)
	$(Q)$(MAKE) BUILD=build/gpu CONFIG=release CUDA=1 LINEINFO=1 CUDA_ARCHS="$(GPU_ARCHS)" LDFLAGS='-Wl,--disable-new-dtags,-rpath,\$$$$ORIGIN/../lib' $(GPU_FILES)
	$(Q)bench/gpu_bundle.sh $(GPU_BUNDLE) "$(GPU_ARCHS)" $(GPU_FILES)

.PHONY: cuda-check cuda-budget
ifneq ($(NVCC_FLAGS),)
# nvcc leaves out of the names what is clear without.
compiled   = $(foreach k,$(1),$(firstword $(wildcard $(addprefix $(BUILD)/compiled/$(k)/$(k).,$(2)))))
ptx        = $(call compiled,$(KERNEL_UNITS),compute_$(PTX_ARCH).ptx ptx)
front_end  = $(strip $(foreach f,$(FRONT_ENDS),$(if $(filter $(1),$(ARCHS_$(f))),$(f))))
cubins     = $(call compiled,$(KERNEL_UNITS),$(addprefix compute_$(call front_end,$(1)).,sm_$(1).cubin cubin) sm_$(1).cubin)
# A disassembler of nvcc's machine code: not all installations have one, and PyPI's nvidia-cuda-nvdisasm is one.
NVDISASM   ?= $(or $(shell command -v nvdisasm 2>/dev/null),$(wildcard $(CUDA_HOME)/bin/nvdisasm))
SASS_ARCHS ?= $(filter 75 90,$(CUDA_ARCHS))
$(BUILD)/kernel-resources.csv: $(KERNEL_OBJ) bench/kernel_resources.sh
	$(Q)bench/kernel_resources.sh $(ptx) $(KERNEL_OBJ:=.log) > $@
# In the machine code, or else in the PTX.
$(BUILD)/kernel-accesses.csv: $(KERNEL_OBJ) bench/kernel_accesses.sh
	$(Q)bench/kernel_accesses.sh "$(NVDISASM)" $(if $(NVDISASM),$(foreach a,$(SASS_ARCHS),$(addprefix $(a):,$(call cubins,$(a)))),$(ptx)) > $@
cuda-check: all $(BUILD)/kernel-resources.csv $(BUILD)/kernel-accesses.csv
	$(Q)bench/cuda_check.sh $(BUILD)/kernel-resources.csv kernels/resources.csv $(BUILD)/kernel-accesses.csv kernels/accesses.csv
	$(if $(NVDISASM),,@echo "skipped: no nvdisasm here (NVDISASM=/path), machine code was not looked at")
cuda-budget: $(BUILD)/kernel-resources.csv ## registers, shared memory and occupancy of today's kernels become the budget
	$(Q)cp $< kernels/resources.csv
else
cuda-check: ## registers, spills, occupancy and machine code of all kernels against the committed budget (needs nvcc)
	$(Q)$(MAKE) CONFIG=release CUDA=1 cuda-check
endif

ifneq ($(NVCC_FLAGS),)
CUDA_RUNNER := $(BUILD)/bin/det-cuda-tests
$(OBJ)/tests/cuda/%.o: CPPFLAGS_ALL += $(CUDA_INCLUDE)
endif

# The tests of kernels and backend (tests/cuda): one runner, like the Makefile's own, for the emulation and for a GPU.
ifneq ($(CUDA_RUNNER),)
CUDA_TEST_SRC := $(sort $(wildcard tests/cuda/test_*.c))
CUDA_SUPPORT  := $(sort $(wildcard tests/cuda/support/*.c))
CUDA_TEST_OBJ := $(CUDA_TEST_SRC:%.c=$(OBJ)/%.o) $(CUDA_SUPPORT:%.c=$(OBJ)/%.o) $(PLANTED_OBJ) $(patsubst %.c,$(OBJ)/%.o,$(filter-out %/parsed.c,$(TEST_SUPPORT_SRC))) $(OBJ)/tests/cuda/runner.o
$(CUDA_TEST_OBJ): $(NVCC_STAMP)
build-cuda-tests: $(if $(NVCC_FLAGS),$(CUDA_RUNNER) $(BUILD)/bin/bench_cuda)
CUDA_TEST_GROUPS = $(call groups_of,$(CUDA_TEST_SRC))
$(eval $(call text_file,$(BUILD)/gen-cuda/test_groups.inc,CUDA_TEST_GROUPS))
$(CUDA_TEST_OBJ): | $(BUILD)/gen-cuda/test_groups.inc $(BUILD)/gen/test_groups.inc $(BUILD)/test-libraries.stamp
$(OBJ)/tests/cuda/runner.o: tests/runner.c $(BUILD)/gen-cuda/test_groups.inc $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests -I$(BUILD)/gen-cuda $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(CUDA_RUNNER): $(CUDA_TEST_OBJ) $(CUDA_OBJ) $(STATIC_LIB) | $(CUDA_LIBRARY)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CUDA_LIBS) $(LIBS) -lcmocka -lcjson
endif

# nvcc's own PTX in the place of the kernels that g++ compiles, run by the emulation (tests/cuda_ptx). One runner holds the PTX of all
# PTX_ARCHS, DET_PTX_ARCH picks one. PTX_RUNS: whole (steps, inference and jobs, once), disturbed (the kernels' tests, approximations
# 2 ulp off, products fused where ptxas may), kernels (the same as they are, four schedules); the longest first.
PTX_ARCHS ?= 75 80 90
PTX_RUNS  ?= whole disturbed kernels
ifeq ($(WITH_CUDA),emulated)
PTX         := $(BUILD)/ptx
PTX_RUNNER  := $(BUILD)/bin/det-cuda-ptx-tests
PTX_CU      := $(KERNEL_SRC) $(PLANTED_OBJ:$(OBJ)/%.o=%.cu)
PTX_OBJ     := $(PTX_CU:%.cu=$(PTX)/%.o) $(PTX)/tests/cuda_ptx/handwritten.o $(OBJ)/tests/cuda_ptx/ptx.o
PTX_TEST_OBJ := $(OBJ)/tests/cuda_ptx/test_cuda_ptx.o $(OBJ)/tests/cuda_ptx/runner.o
TRANSLATOR  := $(addprefix tests/cuda_ptx/,ptx2cc.py cplusplus.py ptx.py)
ptx_files    = $(foreach a,$(PTX_ARCHS),$(PTX)/$(1).sm_$(a).ptx)

$(eval $(call text_file,$(PTX)/archs.stamp,PTX_ARCHS))
define ptx_rules
$(PTX)/%.sm_$(1).ptx: %.cu $(BUILD)/flags.stamp
	@mkdir -p $$(@D)
	$$(say) PTX $$@
	$$(Q)$(NVCC) $(NVCC_LANGUAGE) -Ilibdet/include -Ilibdet -I. -Ikernels -gencode arch=compute_$(1),code=compute_$(1) -ptx -MMD -MP -MF $$@.d $$< -o $$@
$(PTX)/tests/cuda_ptx/spaces.sm_$(1).ptx: tests/cuda_ptx/spaces.ptx
	@mkdir -p $$(@D)
	$$(Q)sed 's/^\.target .*/.target sm_$(1)/' $$< > $$@
$(PTX)/tests/cuda_ptx/instructions.sm_$(1).ptx: tests/cuda_ptx/instructions.py $(TRANSLATOR)
	@mkdir -p $$(@D)
	$$(Q)python3 $$< ptx $(1) > $$@
endef
$(foreach a,$(PTX_ARCHS),$(eval $(call ptx_rules,$(a))))
$(PTX)/instructions.inc: tests/cuda_ptx/instructions.py $(TRANSLATOR)
	@mkdir -p $(@D)
	$(Q)python3 $< table > $@
$(PTX)/tests/cuda_ptx/handwritten.cc: tests/cuda_ptx/handwritten.cu $(call ptx_files,tests/cuda_ptx/spaces) $(call ptx_files,tests/cuda_ptx/instructions) $(TRANSLATOR) $(PTX)/archs.stamp
	$(Q)python3 $(firstword $(TRANSLATOR)) $< $@ $(filter %.ptx,$^)
$(PTX)/%.cc: %.cu $(call ptx_files,%) $(TRANSLATOR) $(PTX)/archs.stamp
	$(Q)python3 $(firstword $(TRANSLATOR)) $< $@ $(filter %.ptx,$^)
$(PTX)/%.o: $(PTX)/%.cc $(BUILD)/flags.stamp
	$(say) CXX $<
	$(Q)$(CXX) -I. -Itests/cuda_ptx $(CPPFLAGS_ALL) $(CXXFLAGS_EMU) -g0 -MMD -MP -c $< -o $@
$(PTX_TEST_OBJ): CPPFLAGS_ALL += -I$(BUILD)/gen-cuda-ptx -I$(PTX)
$(PTX_TEST_OBJ): $(BUILD)/gen-cuda-ptx/test_groups.inc $(PTX)/instructions.inc
PTX_TEST_GROUPS = X(test_cuda_ptx) $(CUDA_TEST_GROUPS)
$(eval $(call text_file,$(BUILD)/gen-cuda-ptx/test_groups.inc,PTX_TEST_GROUPS))
$(OBJ)/tests/cuda_ptx/runner.o: tests/runner.c $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(PTX_RUNNER): $(PTX_TEST_OBJ) $(filter-out %/runner.o $(PLANTED_OBJ),$(CUDA_TEST_OBJ)) $(PTX_OBJ) $(filter-out $(KERNEL_OBJ),$(CUDA_OBJ)) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CUDA_LIBS) $(LIBS) -lcmocka -lcjson
endif

.PHONY: build-cuda-ptx test-cuda-ptx
ifneq ($(WITH_CUDA),emulated)
test-cuda-ptx: ## nvcc's own PTX of the kernels, run on the CPU (needs nvcc; PTX_ARCHS="75 80 90", PTX_RUNS="whole disturbed kernels")
build-cuda-ptx test-cuda-ptx:
	$(Q)$(MAKE) CONFIG=cuda-emu $@
else ifneq ($(NVCC),)
build-cuda-ptx: $(PTX_RUNNER)
test-cuda-ptx: $(PTX_RUNNER)
	$(Q)python3 tests/cuda_ptx/test_ptx2cc.py
	$(Q)tests/cuda_ptx/run.sh $(PTX_RUNNER) "$(PTX_ARCHS)" "$(PTX_RUNS)"
else
build-cuda-ptx test-cuda-ptx:
	$(Q)python3 tests/cuda_ptx/test_ptx2cc.py
	@echo "skipped: no nvcc here, so there is no PTX to run"
endif

.PHONY: test-cuda-emu build-cuda-emu cuda-coverage
build-cuda-emu: $(if $(filter emulated,$(WITH_CUDA)),$(CUDA_RUNNER) $(BUILD)/bin/bench_cuda $(BUILD)/bin/roofline)
	$(if $(filter emulated,$(WITH_CUDA)),,$(Q)$(MAKE) CONFIG=cuda-emu build-cuda-emu)
cuda-coverage: ## lines of the kernels that the emulated tests reach: at least 95 %
ifeq ($(CONFIG),cuda-cov)
cuda-coverage: $(CUDA_RUNNER) $(BUILD)/bin/bench_cuda $(BUILD)/bin/roofline
	$(Q)find $(OBJ)/kernels -name '*.gcda' -delete
	$(Q)DET_BIN_DIR=$(BUILD)/bin $(CUDA_RUNNER) $(JOBS:%=-j %) > $(BUILD)/tests.log 2>&1 || (tail -30 $(BUILD)/tests.log; exit 1)
	@grep -E 'PASSED|test groups' $(BUILD)/tests.log
	$(Q)bench/kernel_coverage.sh 95 $(KERNEL_OBJ)
else
	$(Q)$(MAKE) CONFIG=cuda-cov cuda-coverage
endif
.PHONY: planted
planted: ## plant each mistake of tests/cuda/planted/mistakes.txt in a copy: the emulated tests must notice it (P=word takes a part; many minutes)
	$(Q)+tests/cuda/planted/mistakes.sh "$(P)"
test-cuda-emu: ## the CUDA kernels and backend on the CPU, without a GPU (T=name; DET_EMU_SCHEDULE=forward|backward|random:SEED)
	$(Q)$(MAKE) CONFIG=cuda-emu build-cuda-emu
	build/cuda-emu/bin/det-cuda-emu-tests $(JOBS:%=-j %) $(T)
