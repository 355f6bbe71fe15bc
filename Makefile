# libdet: `make help` lists what can be made. Everything goes to build/<config>/; V=1 shows the commands. `make` builds with the words it
# is given (CUDA=0 CC=clang CFLAGS=...); test, install and the like use what is built, with its words (words.mk).
#
#   config   what it is
#   release  optimised, the default
#   asan     AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer     tsan  ThreadSanitizer
#   cuda-emu the CUDA backend and its kernels compiled for the CPU (tests/cuda_emu), to be tested without a GPU; cuda-cov counts lines
#   isa-emu  the AVX-512 code compiled for AVX2 (tests/isa_emu), to be tested without AVX-512; isa-emu-asan with asan's sanitizers

CONFIG  ?= release
BUILD   := build/$(CROSS:%=%/)$(CONFIG)
OBJ     := $(BUILD)/obj
include words.mk
PREFIX  ?= /usr/local
V       ?= 0
WERROR  ?= 0

# CROSS=aarch64-linux-gnu builds for another machine (cross.mk).
ifeq ($(origin CC),default)
CC := $(CROSS:%=%-)gcc
endif
ifeq ($(origin AR),default)
AR := $(CROSS:%=%-)ar
endif

include cross.mk

VERSION := $(shell sed -n 's/^.define DET_VERSION_STRING "\(.*\)"/\1/p' libdet/include/det/version.h)
SOVERSION := $(shell sed -n 's/^.define DET_ABI_VERSION  *//p' libdet/include/det/version.h)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wundef -Wformat=2
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

OPTIMISE_release := -O2
OPTIMISE_cuda-emu := -O2
# Lines alone (-g1), which is what a sanitizer's report needs: compiling takes a sixth less. CFLAGS=-g for a debugger.
OPTIMISE_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
OPTIMISE_tsan    := -O1 -g1 -fsanitize=thread
OPTIMISE_cuda-cov := -O2 -g1
OPTIMISE_isa-emu  := -O2 -g1
OPTIMISE_isa-emu-asan := $(OPTIMISE_asan)
ifeq ($(origin OPTIMISE_$(CONFIG)),undefined)
$(error unknown CONFIG=$(CONFIG): release, asan, tsan, cuda-emu, cuda-cov, isa-emu or isa-emu-asan)
endif
SANITIZE := $(filter -fsanitize=%,$(OPTIMISE_$(CONFIG)))

# What knows of the library what libdet/include/det/ says, and is written with support/ as it is; anything else sees the inside.
OUTSIDE       = $(filter tools/% support/% examples/%,$<)
CPPFLAGS_ALL  = $(CROSS_CPPFLAGS) -Ilibdet/include $(if $(OUTSIDE),,-Ilibdet) -I. -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE $(CPPFLAGS)
CFLAGS_ALL   := -std=c11 -g -fPIC -fvisibility=hidden -ffp-contract=off $(OPTIMISE_$(CONFIG)) \
                $(WARNINGS) $(CFLAGS)
LDFLAGS_ALL  := $(CROSS_LDFLAGS) $(SANITIZE) $(LDFLAGS)
LIBS         := -ljpeg -lpng -lsnappy -lz -lm -lpthread -ldl
include image.mk
include data.mk

# Instruction sets (libdet/ops/cpu/isa/isas.h). NAME_SET.c is compiled for its set, and left out where the architecture is another;
# NAME.isa.c makes an object NAME_SET.o for each set with float32 kernels, NAME.set.c one for each set of bf16 too.
ARCH        := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ISAS_x86_64 := avx2 avx512
SETS_x86_64 := avx512bf16
Q8_SETS_x86_64 := avxvnni avx512vnni
OTHER_ISAS  := $(if $(filter x86_64,$(ARCH)),,x86 $(ISAS_x86_64) $(SETS_x86_64) $(Q8_SETS_x86_64))
OTHER_SRC   := $(addprefix %_,$(addsuffix .c,$(OTHER_ISAS)))
ISAS        := generic $(ISAS_$(ARCH))
SETS        := $(ISAS) $(SETS_$(ARCH))
Q8_SETS     := $(Q8_SETS_$(ARCH))
ISA_generic := -DDET_ISA=generic -DDET_ISA_F32=generic -DDET_ISA_WIDTH=4
ISA_avx2    := -mavx2 -mfma -DDET_ISA=avx2 -DDET_ISA_F32=avx2 -DDET_ISA_WIDTH=8
AVXVNNI     := -mavxvnni
AVX512      := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma
AVX512BF16  := -mavx512bf16
AVX512VNNI  := -mavx512vnni
ISA_avx512   = $(AVX512) -DDET_ISA=avx512 -DDET_ISA_F32=avx512 -DDET_ISA_WIDTH=16
ISA_avx512bf16 = $(AVX512) $(AVX512BF16) -DDET_ISA=avx512bf16 -DDET_ISA_F32=avx512 -DDET_ISA_WIDTH=16 -DDET_ISA_BF16
ISA_avx512vnni = $(AVX512) $(AVX512VNNI)
ISA_avxvnni    = -mavx2 -mfma $(AVXVNNI)
isa_of = $(ISA_$(lastword $(subst _, ,$(basename $(notdir $(1))))))
# The object names, without folder and ending, of sources.
instances = $(foreach s,$(1),$(if $(filter %.isa.c,$(s)),$(ISAS:%=$(s:%.isa.c=%)_%),$(if $(filter %.set.c,$(s)),$(SETS:%=$(s:%.set.c=%)_%),$(s:%.c=%))))

LIB_SRC     := $(sort $(filter-out libdet/devices/cuda/% libdet/ranks/mpi/% $(IMAGE_LEFT_OUT) $(DATA_LEFT_OUT) $(OTHER_SRC),$(shell find support libdet -name '*.c')))
CUDA_SRC    := $(sort $(wildcard libdet/devices/cuda/*.c))
KERNEL_SRC  := $(sort $(wildcard kernels/*.cu))
LIB_OBJ      = $(addprefix $(OBJ)/,$(addsuffix .o,$(call instances,$(LIB_SRC))))
SUPPORT_OBJ := $(patsubst %.c,$(OBJ)/%.o,$(filter support/%,$(LIB_SRC)))
TOOL_COMMON_SRC := $(sort $(wildcard tools/common/*.c))
TOOL_COMMON_OBJ := $(TOOL_COMMON_SRC:%.c=$(OBJ)/%.o)
TOOL_SRC    := $(sort $(wildcard tools/det-*.c))
# tools/NAME/*.c belong to det-NAME; det-train --data makes a workspace as det-data init does, and exports.
tool_parts  = $(patsubst %.c,$(OBJ)/%.o,$(sort $(filter-out $(VIDEO_LEFT_OUT) $(PLUGIN_SRC),$(wildcard tools/$(patsubst det-%,%,$(1))/*.c))))
TOOLS       := $(TOOL_SRC:tools/%.c=$(BUILD)/bin/%)
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))
EXAMPLES    := $(EXAMPLE_SRC:examples/%.c=$(BUILD)/examples/%)
DATA_SRC    := $(sort $(wildcard data/*.c))
DATA_BIN    := $(if $(DATA_SRC),$(BUILD)/bin/det-demo-data)
DATA_OBJ    := $(DATA_SRC:%.c=$(OBJ)/%.o)
TEST_SRC    := $(sort $(wildcard tests/unit/test_*.c tests/parity/test_*.c))
TEST_SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
TEST_OBJ     = $(TEST_SRC:%.c=$(OBJ)/%.o) $(TEST_SUPPORT_SRC:%.c=$(OBJ)/%.o) $(OBJ)/tests/runner.o
RUNNER      := $(BUILD)/bin/det-tests
BENCH_SRC   := $(sort $(filter-out $(OTHER_SRC),$(wildcard bench/cpu/*.c)) bench/json_line.c)
BENCH_OBJ   := $(BENCH_SRC:%.c=$(OBJ)/%.o)
PARTNER_OBJ := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard bench/peers/*.c)) bench/cpu/measure.c bench/cpu/batch.c bench/json_line.c)
STATIC_LIB  := $(BUILD)/lib/libdet.a
SHARED_LIB  := $(BUILD)/lib/libdet.so.$(VERSION)
.DEFAULT_GOAL := all
include cuda.mk
include mpi.mk
include video.mk
include isa_emu.mk
include fuzz.mk
include abi.mk
include libraries.mk
C_FILES     := $(shell find support libdet tools examples data tests bench kernels -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cc' 2>/dev/null | LC_ALL=C sort)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-6s %s\n'
endif

.PHONY: all
all: lib tools examples ## build the library, tools and examples (the default)
	@printf '%s\n' "$(VIDEO_TEXT)"
	@printf '%s\n' "$(DATA_TEXT)"
	@printf '%s\n' "$(IMAGE_TEXT)"
	@printf '%s\n' "$(MPI_TEXT)"
	@printf '%s\n' "$(if $(WITH_CUDA),With CUDA for sm_ $(CUDA_ARCHS).,For the CPU only.)"
	$(if $(KEPT_WORDS),$(info $(KEPT_TEXT)))
	@echo "Built $(BUILD)/lib and $(BUILD)/bin. Next: make test"

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-14s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

.PHONY: lib tools examples
lib: $(STATIC_LIB) $(BUILD)/lib/libdet.so $(CUDA_LIBRARY) $(MPI_LIBRARY) ## static and shared library, the CUDA backend, the transport over MPI
	$(if $(CUDA_LIBRARY),,$(Q)rm -f $(BUILD)/lib/libdet/det-cuda.so)
	$(if $(MPI_LIBRARY),,$(Q)rm -f $(BUILD)/lib/libdet/det-mpi.so)
tools: $(TOOLS) $(DATA_BIN) $(PLUGINS) ## det-train, det-eval, det-export, det-detect, ...
examples: $(EXAMPLES) ## the programs in examples/

# A changed flag rebuilds: the stamp's text changes, its time stamp with it.
FLAGS_TEXT := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(SETS:%=$(ISA_%)) $(Q8_SETS:%=$(ISA_%)) $(LIBS)
$(eval $(call text_file,$(BUILD)/flags.stamp,FLAGS_TEXT))
$(eval $(call text_file,$(WORDS_FILE),WORDS_TEXT))

# Of a source, to an object; both name the instruction set alike.
define compile
	@mkdir -p $(@D)
	$(say) CC $(@:$(OBJ)/%.o=%.c)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(if $(filter tests/%,$<),-Itests -I$(BUILD)/gen$(if $(filter tests/cuda/%,$<),-cuda)) $(if $(filter tools/% data/% bench/% tests/%,$<),-Itools) $(if $(filter bench/%,$<),-Ibench) $(if $(filter tools/%,$<),$(VIDEO_CFLAGS)) $(CFLAGS_ALL) $(call isa_of,$@) -MMD -MP -c $< -o $@
endef
$(OBJ)/%.o: %.c $(BUILD)/flags.stamp | $(BUILD)/libraries.stamp
	$(compile)
define for_set
$(OBJ)/%_$(1).o: %.isa.c $(BUILD)/flags.stamp | $(BUILD)/libraries.stamp
	$$(compile)
$(OBJ)/%_$(1).o: %.set.c $(BUILD)/flags.stamp | $(BUILD)/libraries.stamp
	$$(compile)
endef
$(foreach s,$(SETS),$(eval $(call for_set,$(s))))

$(STATIC_LIB): $(LIB_OBJ) | $(WORDS_FILE)
	@mkdir -p $(@D)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED_LIB): $(LIB_OBJ) $(SYMBOLS)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) -shared -Wl,-soname,libdet.so.$(SOVERSION) -Wl,-z,defs -Wl,--version-script=$(SYMBOLS) $(LDFLAGS_ALL) -o $@ $(LIB_OBJ) $(LIBS)

$(BUILD)/lib/libdet.so: $(SHARED_LIB)
	$(Q)ln -sf libdet.so.$(VERSION) $(BUILD)/lib/libdet.so.$(SOVERSION)
	$(Q)ln -sf libdet.so.$(SOVERSION) $@

# What is loaded at run time, if it is needed, carries the parts of libdet that it needs, and shows none of them.
EXPORTS := libdet/base/library.map
define link_loaded
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) -shared -Wl,-z,defs -Wl,--as-needed -Wl,--gc-sections -Wl,--version-script=$(EXPORTS) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TOOL_LIBS) $(LIBS)
endef
$(BUILD)/lib/libdet/det-%.so: $(STATIC_LIB) $(EXPORTS)
	$(link_loaded)

# Which build this is (libdet/base/build.h).
BUILD_NAMES  := $(BUILD)/gen/build_names.h
SOURCES_HASH := $(shell sha256sum $(filter support/% libdet/%,$(C_FILES)) | sha256sum | cut -c1-12)
define BUILD_NAMES_TEXT
#define DET_SOURCES "$(SOURCES_HASH)"
#define DET_FOLDER  "$(PREFIX)/lib/libdet"
endef
$(eval $(call text_file,$(BUILD_NAMES),BUILD_NAMES_TEXT))
# And which build of the tools (tools/video/build.h).
TOOLS_NAMES := $(BUILD)/gen/tools_names.h
TOOLS_HASH  := $(shell sha256sum $(filter support/% libdet/include/% tools/%,$(C_FILES)) | sha256sum | cut -c1-12)
define TOOLS_NAMES_TEXT
#define DET_TOOLS "$(TOOLS_HASH)"
endef
$(eval $(call text_file,$(TOOLS_NAMES),TOOLS_NAMES_TEXT))
TOOLS_NAMED := $(OBJ)/tools/video/build.o $(BUILD)/tidy/tools/video/build.ok $(BUILD)/musl/tools/video/build.ok
$(TOOLS_NAMED): $(TOOLS_NAMES)
BUILD_NAMED := $(OBJ)/libdet/base/build.o $(BUILD)/tidy/libdet/base/build.ok $(BUILD)/musl/libdet/base/build.ok build/fuzz/obj/libdet/base/build.o
$(BUILD_NAMED): $(BUILD_NAMES)
$(BUILD_NAMED) $(TOOLS_NAMED): CPPFLAGS_ALL += -I$(BUILD)/gen

$(BUILD)/bin/det-demo-data: $(DATA_OBJ) $(OBJ)/tools/common/console.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TOOL_LIBS) $(LIBS)

$(foreach t,$(notdir $(TOOLS)),$(eval $(BUILD)/bin/$(t) $(BUILD)/shared/bin/$(t): $(call tool_parts,$(t))))
$(BUILD)/bin/det-train $(BUILD)/shared/bin/det-train: $(call tool_parts,det-data) $(OBJ)/tools/export/source.o
$(BUILD)/bin/det-%: $(OBJ)/tools/det-%.o $(TOOL_COMMON_OBJ) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TOOL_LIBS) $(LIBS)

# The same tools on the shared library, which shows nothing but the API: they live on it and on support/. For tests.
SHARED_TOOLS := $(TOOL_SRC:tools/%.c=$(BUILD)/shared/bin/%)
$(BUILD)/shared/bin/det-%: $(OBJ)/tools/det-%.o $(TOOL_COMMON_OBJ) $(SUPPORT_OBJ) $(BUILD)/lib/libdet.so
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)ln -sfn ../lib $(BUILD)/shared/lib
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -L$(BUILD)/lib -ldet -Wl,-rpath,'$$ORIGIN/../lib' $(TOOL_LIBS) -lm -lpthread -ldl

$(BUILD)/examples/%: $(OBJ)/examples/%.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# One runner; each tests/*/test_NAME.c gives `int test_NAME(void)`, the list is made from the file names. Every
# test includes it, so it stays untouched where the names did not change; a file that is gone has no date to compare.
groups_of   = $(patsubst %,X(%),$(basename $(notdir $(1))))
TEST_GROUPS = $(call groups_of,$(TEST_SRC))
$(eval $(call text_file,$(BUILD)/gen/test_groups.inc,TEST_GROUPS))
$(TEST_OBJ): | $(BUILD)/gen/test_groups.inc $(BUILD)/test-libraries.stamp
$(OBJ)/tests/runner.o: $(BUILD)/gen/test_groups.inc

# Libraries for libdet to load, right and wrong ones.
TEST_LOADED := $(patsubst tests/loaded/%.c,$(BUILD)/loaded/%.so,$(wildcard tests/loaded/*.c))
$(BUILD)/loaded/%.so: $(OBJ)/tests/loaded/%.o $(STATIC_LIB) $(EXPORTS)
	$(link_loaded)

$(RUNNER): $(TEST_OBJ) $(STATIC_LIB) | $(TEST_LOADED)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(TOOL_LIBS) $(LIBS) -lcmocka -lcjson

# What the checks of exported files in other engines need of libdet (tests/engines/README).
ENGINE_FILES := $(BUILD)/bin/engine-files
$(ENGINE_FILES): $(addprefix $(OBJ)/tests/,engines/engine_files.o support/formula.o support/test_tools.o support/test_env.o) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

# Errors planted in labels, and found: the table of docs/reviewing.md.
LABEL_ERRORS := $(BUILD)/bin/label-errors
.PHONY: label-errors
label-errors: $(LABEL_ERRORS) ## the program behind the table of docs/reviewing.md
$(LABEL_ERRORS): $(addprefix $(OBJ)/tests/,review/label_errors.o support/planted.o) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# The main job on the bundled data: generate, train, evaluate, export, detect.
DEMO ?= build/demo
.PHONY: demo
demo: all ## train, evaluate, export and detect on the bundled demo data (under 10 minutes on 2 cores)
	$(BUILD)/bin/det-demo-data $(DEMO) --weights data/vehicles.det
	$(BUILD)/bin/det-train --pipeline_config_path $(DEMO)/models/demo/pipeline.config --model_dir $(DEMO)/models/demo/run
	$(BUILD)/bin/det-eval --pipeline_config_path $(DEMO)/models/demo/pipeline.config --checkpoint_dir $(DEMO)/models/demo/run --once
	$(BUILD)/bin/det-export --pipeline_config_path $(DEMO)/models/demo/pipeline.config --trained_checkpoint_dir $(DEMO)/models/demo/run --output_directory $(DEMO)/exported-models/demo
	$(BUILD)/bin/det-detect $(DEMO)/exported-models/demo/model.det $(DEMO)/images/test --threshold 0.5 --json $(DEMO)/detections.jsonl --output $(DEMO)/annotated
	@echo "Look at $(DEMO)/annotated/*.jpg; the model is $(DEMO)/exported-models/demo/model.det"

.PHONY: build-tests test asan tsan
build-tests: $(RUNNER) $(RANK_PROGRAMS) $(RANK_STEPS) $(DELAYED_LINK) $(HEADER_CHECKS) $(ABI_PROGRAMS) $(SHARED_TOOLS) $(BUILD)/bin/bench $(BUILD)/bin/partner
test: all $(RUNNER) $(RANK_PROGRAMS) $(HEADER_CHECKS) $(ABI_PROGRAMS) $(SHARED_TOOLS) ## run the tests (T=name: those whose name holds it; JOBS=N: so many groups at once, not one a processor)
	DET_BIN_DIR=$(BUILD)/bin DET_EXAMPLES_DIR=$(BUILD)/examples DET_SHARED_TOOLS_DIR=$(BUILD)/shared/bin $(RUNNER) $(JOBS:%=-j %) $(T)
.PHONY: test-build
test-build: ## the build: install and test compile nothing again, a missing library is one line (pretended compilers, seconds)
	tests/build.sh
.PHONY: test-engines
test-engines: $(ENGINE_FILES) ## exported files in ONNX Runtime, OpenVINO, ... of PyPI against libdet (FORMATS="onnx" takes a part; skipped without Python or PyPI)
	tests/engines/run.sh $(BUILD) $(FORMATS)
.PHONY: test-endurance
test-endurance: all $(RUNNER) ## 200 trainings killed at random points must come out the same, 2,000 steps in the same memory (minutes)
	DET_KILLS=200 DET_RSS_STEPS=2000 DET_BIN_DIR=$(BUILD)/bin $(RUNNER) test_endurance
.PHONY: test-slurm
test-slurm: all ## srun, scancel and a requeue of det-train on two nodes of a Slurm that the test starts (two minutes; skipped without Slurm, MPI or root)
	tests/slurm.sh $(BUILD)/bin
.PHONY: test-rank-kills
test-rank-kills: all $(RUNNER) ## 1,000 trainings of 2 to 4 ranks in which one is killed, 110 with signals or silence, must come out the same (half an hour; skipped without MPI)
	DET_RANK_KILLS=1000 DET_BIN_DIR=$(BUILD)/bin $(RUNNER) test_ranks_faults
# T="test_ops_bn test_prepared" asks for other groups; some seconds of a test are hours there.
BOOT_TESTS := test_pairs test_losses test_ops_bias_backward test_ops_elementwise test_net test_prepared_kernels test_detector_batch test_hard_examples
.PHONY: test-avx512
test-avx512: all $(RUNNER) ## the release build's AVX-512 code on an emulated processor (needs Bochs, see tests/isa_emu/boot.sh; some minutes)
	@mkdir -p $(BUILD)/avx512
	tests/isa_emu/boot.sh $(BUILD)/bin $(abspath $(BUILD)/avx512) $(or $(T),$(BOOT_TESTS))
asan: ## tests under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) CONFIG=asan test
tsan: ## tests under ThreadSanitizer
	$(MAKE) CONFIG=tsan test

# Kernels on the shapes of the real network, whole jobs; BENCH="kernels" or BENCH="jobs --only training" takes a part.
# The figures go to build/bench/results.json: keep a copy to compare with.
BENCH ?=
.PHONY: bench bench-shapes
bench: $(BUILD)/bin/bench $(BUILD)/bin/det-bench ## time kernels and whole jobs (COMPARE=old.json flags what changed; bench/README.md)
	@mkdir -p build/bench
	$(BUILD)/bin/bench $(BENCH) --tools $(BUILD)/bin --scratch build/bench --json build/bench/results.json $(if $(COMPARE),--compare $(COMPARE))
bench-shapes: $(BUILD)/bin/bench ## write bench/shapes.txt anew from the network
	$(BUILD)/bin/bench --write_shapes > bench/shapes.txt
.PHONY: bench-ranks
bench-ranks: tools $(DATA_BIN) $(RANK_STEPS) $(DELAYED_LINK) ## two ranks against one process of two threads, communication behind the backward pass, throttled and long links (RANKS="--quick" in two minutes)
	bench/ranks/ranks.py --bin $(BUILD)/bin --json build/bench/ranks.json $(RANKS)
.PHONY: peers
peers: ## install the engines that bench/peers compares with into .peers/ (needs Python and PyPI; nothing else needs them)
	bench/peers/install.sh
.PHONY: races
races: tools examples $(BUILD)/bin/partner $(BUILD)/bin/bench ## every race with a goal against the peers, one table (after `make peers`; RACES="--only bf16" takes a part)
	bench/peers/races.py --bin $(BUILD)/bin --json build/bench/races.json $(RACES)
.PHONY: performance-page
performance-page: ## docs/performance.md's results anew from bench/results/races-*.json
	bench/peers/page.py docs/performance.md $(sort $(wildcard bench/results/races-*.json))
$(BUILD)/bin/partner: $(PARTNER_OBJ) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcjson
$(BUILD)/bin/bench: $(BENCH_OBJ) $(TOOL_COMMON_OBJ) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcjson

.PHONY: video-proof
video-proof: all $(RUNNER) ## a traffic video of DET_VIDEO_SECONDS (30) at 720p, DET_VIDEO_SEED (1), through the bundled model: AP, tracks, counts
	DET_VIDEO_SECONDS=$${DET_VIDEO_SECONDS:-30} DET_BIN_DIR=$(BUILD)/bin $(RUNNER) video
.PHONY: video-endurance video-valgrind
video-endurance: tools ## memory and processor time over a video of DET_VIDEO_FRAMES (10500)
	tests/video_endurance.sh $(BUILD) $${DET_VIDEO_FRAMES:-10500}
video-valgrind: tools ## det-detect on a short video, with tracks and an annotated copy, under valgrind
	tests/video_valgrind.sh $(BUILD)
.PHONY: tutorial-check
tutorial-check: tools ## run the commands of docs/tutorial.md in a short version
	tests/tutorial.sh $(BUILD)
.PHONY: first-hour first-hour-long
first-hour: tools ## from the archives of labelImg, Roboflow and CVAT to annotated pictures, three commands each (2 minutes)
	tests/first_hour/run.sh $(BUILD)
# Records of one's own: HOUR_DATA holds train.tfrecord and test.tfrecord.
HOUR_DATA    ?= ../shared/data/raccoon
HOUR_WEIGHTS ?= ../shared/data/imagenet_backbone/ckpt-1
first-hour-long: tools ## the same as a user runs it, on HOUR_DATA and from HOUR_WEIGHTS (about an hour); bench/results/first-hour.md has a table
	$(if $(wildcard $(HOUR_DATA)/train.tfrecord),tests/first_hour/run.sh --long $(HOUR_DATA)/train.tfrecord $(HOUR_DATA)/test.tfrecord $(HOUR_WEIGHTS) $(BUILD),@echo "first hour: skipped, there is no $(HOUR_DATA)/train.tfrecord")

.PHONY: test-trained-in-8-bits
test-trained-in-8-bits: tools ## AP of models that were trained in 8 bits against float32 trained alike, three seeds each of the demo's vehicles and of raccoons (an hour; the latter skipped without ../shared)
	tests/trained_in_8_bits.sh $(BUILD) vehicles
	$(if $(wildcard ../shared/goldens/trained_raccoon/ckpt-2.index),tests/trained_in_8_bits.sh $(BUILD) raccoons ../shared,@echo "trained in 8 bits: raccoons are skipped, there is no ../shared/goldens/trained_raccoon")

.PHONY: format format-check lint
format: ## rewrite the sources in the committed style
	clang-format -i $(C_FILES)
format-check: ## fail when a file is not in the committed style
	clang-format --dry-run -Werror $(C_FILES)
	@awk 'length > 100 && !/"/ { print FILENAME ":" FNR ": longer than 100 columns"; bad = 1 } END { exit bad }' $(C_FILES)
# One stamp a file, so that a second run looks only at what changed.
TIDY := $(addprefix $(BUILD)/tidy/,$(addsuffix .ok,$(call instances,$(filter %.c,$(filter-out tests/% bench/% $(VIDEO_LEFT_OUT) $(DATA_LEFT_OUT) $(IMAGE_LEFT_OUT) $(MPI_LEFT_OUT) $(OTHER_SRC),$(C_FILES))))))
define tidy
	@mkdir -p $(@D)
	$(say) TIDY $(@:$(BUILD)/tidy/%.ok=%.c)
	$(Q)clang-tidy --quiet $< -- $(CPPFLAGS_ALL) $(if $(filter libdet/devices/cuda/%,$<),-Itests/cuda_emu/include -Ikernels) -Itools $(if $(filter tools/%,$<),$(VIDEO_CFLAGS)) -std=c11 $(call isa_of,$@) > $@.log 2>/dev/null || { cat $@.log; exit 1; }
	@touch $@
endef
$(BUILD)/tidy/%.ok: %.c .clang-tidy $(filter %.h,$(C_FILES))
	$(tidy)
define tidy_for_set
$(BUILD)/tidy/%_$(1).ok: %.isa.c .clang-tidy $(filter %.h,$(C_FILES))
	$$(tidy)
$(BUILD)/tidy/%_$(1).ok: %.set.c .clang-tidy $(filter %.h,$(C_FILES))
	$$(tidy)
endef
$(foreach s,$(SETS),$(eval $(call tidy_for_set,$(s)))$(eval $(call musl_for_set,$(s))))

OUTSIDE_OBJ = $(patsubst %.c,$(OBJ)/%.o,$(filter-out $(VIDEO_LEFT_OUT),$(filter tools/%.c examples/%.c,$(C_FILES))))
.PHONY: layers
layers: $(STATIC_LIB) $(CUDA_LIBRARY) $(MPI_LIBRARY) $(OUTSIDE_OBJ) ## fail where a folder of libdet/ includes or calls one above it (libdet/floors.txt), or a tool one inside
	@tests/layers.sh libdet/floors.txt $(filter $(OBJ)/support/% $(OBJ)/libdet/%,$(LIB_OBJ) $(CUDA_OBJ) $(MPI_OBJ))
	@tests/outside.sh $(SYMBOLS) $(filter $(OBJ)/support/% $(OBJ)/libdet/%,$(LIB_OBJ) $(CUDA_OBJ) $(MPI_OBJ)) $(OUTSIDE_OBJ)

.PHONY: tree names
tree: $(STATIC_LIB) ## print where each operation is and what proves it; fail where a hole is not explained (tests/tree.txt)
	@tests/tree.sh $(STATIC_LIB) $(ISAS)
names: ## fail where a comment or a page speaks of a file or function that is not there (tests/names.txt)
	@tests/names.sh

CPPCHECK := cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
              --suppress=missingIncludeSystem --std=c11 -j2
.PHONY: cppcheck
cppcheck:
	$(CPPCHECK) -Ilibdet/include -I. -Itools support tools examples
	$(CPPCHECK) -Ilibdet/include -Ilibdet -I. -Itests -Itools libdet data tests
lint: names cppcheck $(TIDY) ## clang-tidy and cppcheck, must be clean

.PHONY: install uninstall
install: lib tools ## install under PREFIX (default /usr/local; DESTDIR is honoured)
	install -d $(DESTDIR)$(PREFIX)/include/det $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 libdet/include/det/*.h $(DESTDIR)$(PREFIX)/include/det
	install -m 644 $(STATIC_LIB) $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(SHARED_LIB) $(DESTDIR)$(PREFIX)/lib
	ln -sf libdet.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libdet.so.$(SOVERSION)
	ln -sf libdet.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libdet.so
	install -m 755 $(TOOLS) $(DESTDIR)$(PREFIX)/bin
	$(if $(PLUGINS)$(CUDA_LIBRARY)$(MPI_LIBRARY),install -d $(DESTDIR)$(PREFIX)/lib/libdet && install -m 755 $(PLUGINS) $(CUDA_LIBRARY) $(MPI_LIBRARY) $(DESTDIR)$(PREFIX)/lib/libdet)
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: libdet' 'Description: SSD MobileNetV2 FPNLite detection engine' \
	  'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -ldet' \
	  'Libs.private: $(LIBS)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/libdet.pc
uninstall: ## remove what install put there
	rm -rf $(DESTDIR)$(PREFIX)/include/det $(DESTDIR)$(PREFIX)/lib/libdet
	rm -f $(DESTDIR)$(PREFIX)/lib/libdet.* $(DESTDIR)$(PREFIX)/lib/pkgconfig/libdet.pc $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(notdir $(TOOLS)))

.PHONY: clean
clean: ## remove build/
	rm -rf build

# Keep object files that only pattern rules name.
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
