# abi.mk: the shared library's face (docs/abi.md): its symbols, its headers alone, programs of older versions. Included by the Makefile.

# The list of exported symbols, with the version that brought each.
SYMBOLS := libdet/base/libdet.map

# Each public header alone, as a program in C99, C11, C++98 or C++17 includes it.
HEADER_WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Werror
HEADERS         := $(notdir $(wildcard libdet/include/det/*.h))
HEADER_CHECKS   := $(HEADERS:%.h=$(BUILD)/abi/%.ok)
HEADER_CXX      := $(if $(CROSS),,$(CXX))
$(BUILD)/abi/%.ok: libdet/include/det/%.h $(wildcard libdet/include/det/*.h)
	@mkdir -p $(@D)
	$(say) ALONE $<
	$(Q)printf '%s\n' '#include "det/$*.h"' 'typedef int det_alone;' > $(@:.ok=.inc)
	$(Q)for standard in c99 c11; do $(CC) $(CROSS_CPPFLAGS) -Ilibdet/include -std=$$standard $(HEADER_WARNINGS) -Wstrict-prototypes -fsyntax-only -x c $(@:.ok=.inc) || exit 1; done
	$(if $(HEADER_CXX),$(Q)for standard in c++98 c++17; do $(HEADER_CXX) -Ilibdet/include -std=$$standard $(HEADER_WARNINGS) -fsyntax-only -x c++ $(@:.ok=.inc) || exit 1; done)
	@touch $@
# A status that is not looked at is a warning, in each of these languages (of GCC's C not with -fsyntax-only).
define ignored_status_warns
	$(Q)! $(1) -Ilibdet/include -Wall -Werror -c -o $(@:.ok=.o) $(@:.ok=.inc) 2> $(@:.ok=.log)
	$(Q)grep -q unused-result $(@:.ok=.log) || { cat $(@:.ok=.log); exit 1; }
endef
$(BUILD)/abi/nodiscard.ok: $(wildcard libdet/include/det/*.h)
	@mkdir -p $(@D)
	$(say) CHECK DET_NODISCARD
	$(Q)printf '%s\n' '#include "det/det.h"' 'void f(det_trainer *t);' 'void f(det_trainer *t) { det_trainer_save(t); }' > $(@:.ok=.inc)
	$(call ignored_status_warns,$(CC) $(CROSS_CPPFLAGS) -std=c11 -x c)
	$(if $(HEADER_CXX),$(call ignored_status_warns,$(HEADER_CXX) -std=c++17 -x c++))
	@touch $@
HEADER_CHECKS += $(BUILD)/abi/nodiscard.ok
# What was declared and laid out once stays so: the same text from a version's headers and from today's.
ABI_VERSIONS  := $(patsubst tests/abi/%/det/det.h,%,$(wildcard tests/abi/*/det/det.h))
HEADER_CHECKS += $(if $(CROSS),,$(ABI_VERSIONS:%=$(BUILD)/abi/layout-%.ok))
$(BUILD)/abi/layout-%.ok: tests/abi/layout.awk $(wildcard libdet/include/det/*.h tests/abi/*/det/*.h)
	@mkdir -p $(@D)
	$(say) LAYOUT $*
	$(Q)cat tests/abi/$*/det/*.h | awk -f tests/abi/layout.awk > $(@:.ok=.c)
	$(Q)$(CC) -Itests/abi/$* -std=c99 $(HEADER_WARNINGS) -o $(@:.ok=.then) $(@:.ok=.c) && $(@:.ok=.then) > $(@:.ok=.then.txt)
	$(Q)$(CC) -Ilibdet/include -std=c99 $(HEADER_WARNINGS) -o $(@:.ok=.now) $(@:.ok=.c) && $(@:.ok=.now) > $(@:.ok=.now.txt)
	$(Q)diff $(@:.ok=.then.txt) $(@:.ok=.now.txt) || { echo "what programs built with $* know is another now: docs/abi.md" >&2; exit 1; }
	@touch $@

# A program built with the headers of each released version, and with those of a pretended older one, on today's library.
ABI_PROGRAMS := $(ABI_VERSIONS:%=$(BUILD)/abi/program-%) $(ABI_VERSIONS:%=$(BUILD)/abi/program-before-%)
$(BUILD)/abi/before-%/made: tests/abi/older.sed tests/abi/%/det/det.h
	@mkdir -p $(@D)/det
	$(Q)for header in tests/abi/$*/det/*.h; do sed -f tests/abi/older.sed $$header > $(@D)/det/$${header##*/} || exit 1; done
	@touch $@
define abi_program
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CROSS_CPPFLAGS) -I$(1) -std=c99 $(HEADER_WARNINGS) $(OPTIMISE_$(CONFIG)) -o $@ tests/abi/program.c -L$(BUILD)/lib -ldet -Wl,-rpath,'$$ORIGIN/../lib' $(LDFLAGS_ALL)
endef
$(BUILD)/abi/program-%: tests/abi/program.c tests/abi/%/det/det.h $(BUILD)/lib/libdet.so
	$(call abi_program,tests/abi/$*)
$(BUILD)/abi/program-before-%: tests/abi/program.c $(BUILD)/abi/before-%/made $(BUILD)/lib/libdet.so
	$(call abi_program,$(BUILD)/abi/before-$*)

.PHONY: check-headers
check-headers: $(HEADER_CHECKS) ## the public headers: each alone in C99, C11, C++98 and C++17, and nothing changed that older programs know
