# libraries.mk: what must be installed to build libdet is looked for before the first file is compiled (libraries.sh), once for each
# set of flags. Included by the Makefile.

LIBRARY_STAMPS := $(BUILD)/libraries.stamp $(BUILD)/test-libraries.stamp
$(LIBRARY_STAMPS) check-deps: export DET_CC         = $(CC)
$(LIBRARY_STAMPS) check-deps: export DET_COMPILE    = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)
$(LIBRARY_STAMPS) check-deps: export DET_LINK       = $(LDFLAGS_ALL)
$(LIBRARY_STAMPS) check-deps: export DET_PKG_CONFIG = $(PKG_CONFIG)
check-deps: export DET_CUDA_HOME    = $(WITH_CUDA)
check-deps: export DET_MPI          = $(MPI_NAME)
check-deps: export DET_MPI_WITHOUT  = $(MPI_MISSING)
check-deps: export DET_CUDA_WITHOUT = $(or $(CUDA_TOO_OLD),$(CUDA_MISSING),CUDA=$(CUDA) CONFIG=$(CONFIG))

$(LIBRARY_STAMPS): libraries.sh $(BUILD)/flags.stamp
	$(Q)./libraries.sh $(if $(findstring test-,$@),tests,build) && touch $@
$(PARTNER_OBJ) $(BENCH_OBJ): | $(BUILD)/test-libraries.stamp

.PHONY: check-deps
check-deps: ## required and optional libraries: found or not, version, the package to install, what is lost without
	$(Q)./libraries.sh all
