# mpi.mk: det-mpi.so, the transport between machines (libdet/ranks/mpi), made with the MPI that is here. Included by the Makefile.
#
# MPICC names MPI's wrapper of the compiler, which every MPI has: it is asked for its flags (-show), and compiles nothing, so that our CC
# does all. What is not found is left out; MPI=0 leaves it out. MPI has no common binary interface: det-mpi.so works with the MPI that it
# was made with.

MPICC ?= mpicc
# The sanitizer for threads does not know the locks of an MPI; the other configurations are for code that has nothing to do with it.
MPI_CONFIGS := release asan
ifeq ($(filter 0,$(MPI))$(CROSS)$(filter-out $(MPI_CONFIGS),$(CONFIG)),)
# The compiler's name is ours to choose, the flags follow it.
MPI_SHOWN   := $(shell OMPI_CC=cc MPICH_CC=cc I_MPI_CC=cc $(MPICC) -show 2>/dev/null)
MPI_FLAGS   := $(wordlist 2,$(words $(MPI_SHOWN)),$(MPI_SHOWN))
# Warnings are for our own files.
MPI_CFLAGS  := $(patsubst -I%,-isystem %,$(filter -I% -D% -pthread,$(MPI_FLAGS)))
MPI_LIBS    := $(filter-out -I% -D%,$(MPI_FLAGS))
# What its header calls itself; nothing where there is none, as where only mpirun is installed.
MPI_NAME    := $(if $(MPI_SHOWN),$(shell printf '\043include "libdet/ranks/mpi/mpi_name.h"\nname: DET_MPI_NAME\n' | $(CC) -E -P $(MPI_CFLAGS) -I. -x c - 2>/dev/null | sed -n 's/" *"//g; s/^name: "\(.*\)"$$/\1/p'))
endif
FOUND_MPI   := $(if $(MPI_NAME),1,0)
FOUND_MPICC := $(if $(MPI_NAME),$(or $(shell command -v $(MPICC) 2>/dev/null),$(MPICC)))
MPI_MISSING := $(strip $(if $(filter 0,$(MPI)),MPI=0,$(if $(CROSS),not for another machine,$(if $(filter-out $(MPI_CONFIGS),$(CONFIG)),not in CONFIG=$(CONFIG),$(if $(MPI_SHOWN),$(MPICC) has no mpi.h,$(MPICC) was not found)))))
MPI_TEXT    := $(if $(MPI_NAME),With MPI ($(MPI_NAME)).,Without MPI: $(MPI_MISSING).)

MPI_SRC     := $(sort $(wildcard libdet/ranks/mpi/*.c))
MPI_OBJ     := $(if $(MPI_NAME),$(MPI_SRC:%.c=$(OBJ)/%.o))
MPI_LEFT_OUT := $(if $(MPI_NAME),,$(MPI_SRC))
MPI_LIBRARY := $(if $(MPI_NAME),$(BUILD)/lib/libdet/det-mpi.so)
ifneq ($(MPI_LIBRARY),)
$(OBJ)/libdet/ranks/mpi/%.o $(BUILD)/tidy/libdet/ranks/mpi/%.ok: CPPFLAGS_ALL += $(MPI_CFLAGS)
MPI_STAMP_TEXT := $(MPI_NAME): $(MPI_SHOWN)
$(eval $(call text_file,$(BUILD)/mpi.stamp,MPI_STAMP_TEXT))
$(MPI_OBJ): $(BUILD)/mpi.stamp
$(MPI_LIBRARY): $(MPI_OBJ)
$(MPI_LIBRARY): TOOL_LIBS = $(MPI_LIBS)
endif

# Ranks of an mpirun, for tests/unit/test_mpi.c. One of them is a program with an MPI of its own.
RANK_PROGRAMS := $(if $(MPI_LIBRARY),$(BUILD)/bin/rank-transfers $(BUILD)/bin/rank-own-mpi)
$(OBJ)/tests/ranks/rank_own_mpi.o: CPPFLAGS_ALL += $(MPI_CFLAGS)
$(BUILD)/bin/rank-own-mpi: TOOL_LIBS = $(MPI_LIBS)
$(BUILD)/bin/rank-transfers: $(OBJ)/tests/ranks/rank_transfers.o
$(BUILD)/bin/rank-own-mpi: $(OBJ)/tests/ranks/rank_own_mpi.o
$(RANK_PROGRAMS): $(STATIC_LIB) | $(MPI_LIBRARY)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TOOL_LIBS) $(LIBS)

# Steps of ranks that are timed, for bench/ranks/ranks.py.
RANK_STEPS := $(if $(MPI_LIBRARY),$(BUILD)/bin/rank-steps)
$(BUILD)/bin/rank-steps: $(addprefix $(OBJ)/bench/,ranks/rank_steps.o cpu/measure.o cpu/batch.o json_line.o) $(STATIC_LIB) | $(MPI_LIBRARY)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Its link with latency.
DELAYED_LINK := $(if $(MPI_LIBRARY),$(BUILD)/bin/delayed-link)
$(BUILD)/bin/delayed-link: $(OBJ)/bench/ranks/delayed_link.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
