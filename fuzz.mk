# The readers of files under libFuzzer (tests/fuzz): needs clang 14 and its run-time library (libclang-rt-14-dev in Debian
# comes with clang). What is fuzzed is compiled for it; kernels, which read no files, come from the release build.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 20
FUZZ_READERS := json coco det spec records example table config labels csv voc cvat yaml zip onnx tflite
FUZZ_FLAGS   := -std=c11 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SRC     := tests/fuzz/fuzz.c $(sort $(filter-out $(DATA_LEFT_OUT),$(wildcard support/*.c libdet/base/*.c libdet/formats/*.c libdet/model/*.c libdet/convert/*.c libdet/convert/read/*.c libdet/export/*.c)))
FUZZ_OBJ     := $(FUZZ_SRC:%.c=build/fuzz/obj/%.o)

build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(FUZZ_CC) $(CPPFLAGS_ALL) -Itools $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
build/fuzz/det-fuzz: $(FUZZ_OBJ) $(STATIC_LIB)
	$(say) LD $@
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# An empty folder is no beginning: tests/fuzz/seeds.sh lays files of each kind into it.
.PHONY: fuzz
fuzz: build/fuzz/det-fuzz ## the readers of files under libFuzzer, FUZZ_SECONDS (20) each; needs clang (FUZZ_READERS="json det" takes a part)
	tests/fuzz/seeds.sh build/fuzz
	@for reader in $(FUZZ_READERS); do \
	  echo "fuzz $$reader for $(FUZZ_SECONDS) s"; \
	  DET_FUZZ=$$reader build/fuzz/det-fuzz -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2000 -timeout=10 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$$reader- build/fuzz/corpus/$$reader > build/fuzz/$$reader.log 2>&1 || { tail -40 build/fuzz/$$reader.log; exit 1; }; \
	  grep -h "number_of_executed_units\|peak_rss" build/fuzz/$$reader.log; done
-include $(FUZZ_OBJ:.o=.d)
