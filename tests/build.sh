#!/usr/bin/env bash
# The build itself: that what uses a build compiles nothing again, and that a library that is missing is said in one line.
# Compilers, nvcc among them, are pretended: they write down how they are called and leave an empty file. Usage: tests/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build=$scratch/build

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

pretend() {
    mkdir -p "$(dirname "$scratch/$1")"
    printf '#!/bin/sh\necho "%s $*" >> "%s"\n%s\n' "${1##*/}" "$scratch/calls" "$2" > "$scratch/$1"
    chmod +x "$scratch/$1"
}
empty_output='while [ $# -gt 1 ]; do [ "$1" != -o ] || : > "$2"; shift; done'
pretend tools/cc "case \$1 in -dumpmachine | -E) exec gcc \"\$@\" ;; esac; $empty_output"
pretend tools/ar ': > "$2"'
pretend cuda/bin/nvcc "case \$1 in
--list-gpu-arch) printf 'compute_%s\\n' 75 80 90 100 120; exit ;;
--help) echo --compress-mode; exit ;;
esac
$empty_output"
pretend mpi/bin/mpicc "[ \"\$1\" = -show ] && echo cc '-I$scratch/mpi/include -L$scratch/mpi/lib -lmpi_of_nobody'"
mkdir -p "$scratch/mpi/include"
printf '#define MPICH_VERSION "9.8"\n' > "$scratch/mpi/include/mpi.h"
mkdir -p "$scratch/cuda/include" "$scratch/cuda/lib64"
touch "$scratch/cuda/include/cublasLt.h" "$scratch/cuda/include/cudnn.h" "$scratch/cuda/lib64/libcudart_static.a"
echo '#define CUDART_VERSION 13000' > "$scratch/cuda/include/cuda_runtime_api.h"

# The user has nvcc and an mpicc in the path, sudo has not; neither knows of the make that runs this.
plain_path=/usr/bin:/bin
user() { env -i HOME="$scratch" PATH="$scratch/cuda/bin:$scratch/mpi/bin:$plain_path" make -s -j2 BUILD="$build" "$@" < /dev/null > "$scratch/log" 2>&1; }
sudo_() { env -i HOME=/root PATH="$plain_path" make BUILD="$build" "$@" < /dev/null > "$scratch/log" 2>&1; }
words=(CC="$scratch/tools/cc" AR="$scratch/tools/ar")

# How often compilers have made something since the last time; looking around is not making.
compiled() {
    grep -c " -o " "$scratch/calls" || true
}
count() {
    grep -c -e "$1" "$scratch/calls" || true
}
again() {
    rm -f "$scratch/calls"
    : > "$scratch/calls"
    "$@" || { tail -n 20 "$scratch/log" >&2; fail "failed: ${*//$scratch/}"; }
}
expect_compiled() {
    [ "$(compiled)" = "$1" ] || { cat "$scratch/calls" >&2; fail "$2: $(compiled) calls of compilers, $1 were expected"; }
}

again user "${words[@]}"
[ "$(count '^nvcc .* -o ')" -gt 0 ] || fail "nvcc in the path was not called"
[ "$(count '^cc .* -c ')" -gt 100 ] || fail "the library was not compiled"
[ "$(count '^cc .*-isystem [^ ]*/mpi/include .*mpi_transfers.c')" = 1 ] || fail "the transport over MPI was not compiled with what mpicc -show says"
[ "$(count '^cc .*-shared .*-lmpi_of_nobody')" = 1 ] || fail "the transport over MPI was not linked with what mpicc -show says"
grep -q '^With MPI (MPICH 9.8).$' "$scratch/log" || fail "make does not say which MPI it found"
diff <(cat "$build"/gen/kernels/*.cu | sort) <(printf '#include "%s"\n' kernels/*.cu | sort) >&2 || fail "not each kernel is in one unit"
again sudo_ -n install
! grep -qE ' -c | -shared |nvcc|libdet\.a *$' "$scratch/log" || fail "make -n install would build after make: $(grep -m 1 -E ' -c | -shared |nvcc|libdet\.a *$' "$scratch/log")"
again sudo_ install DESTDIR="$scratch/dest"
expect_compiled 0 "install after make"
[ -e "$scratch/dest/usr/local/lib/libdet/det-cuda.so" ] || fail "the CUDA backend that was built is not installed"
[ -e "$scratch/dest/usr/local/lib/libdet/det-mpi.so" ] || fail "the transport over MPI that was built is not installed"

again user "${words[@]}" CUDA=0
expect_compiled 0 "CUDA=0 after a build with CUDA"
for goal in install test; do
    again user -n "$goal"
    ! grep -qE 'nvcc| -c libdet/' "$scratch/log" || fail "make -n $goal after make CUDA=0 would compile"
done
again user install DESTDIR="$scratch/cpu"
expect_compiled 0 "install after make CUDA=0"
[ ! -e "$scratch/cpu/usr/local/lib/libdet/det-cuda.so" ] || fail "make CUDA=0, make install installs a CUDA backend"
again user "${words[@]}" CUDA=0 MPI=0
expect_compiled 0 "MPI=0 after a build with MPI"
grep -q '^Without MPI: MPI=0.$' "$scratch/log" || fail "make does not say that MPI was left out"
again user install DESTDIR="$scratch/alone"
expect_compiled 0 "install after make MPI=0"
[ ! -e "$scratch/alone/usr/local/lib/libdet/det-mpi.so" ] || fail "make MPI=0, make install installs a transport over MPI"
again user "${words[@]}" CUDA=0
again sudo_ install DESTDIR="$scratch/opt" PREFIX=/opt/det
[ "$(count '^nvcc')" = 0 ] && [ "$(count ' -c ')" = 1 ] && [ "$(count 'base/build.c')" = 1 ] || fail "another PREFIX compiles more than the file that knows it"
again sudo_ uninstall DESTDIR="$scratch/opt"
[ -z "$(find "$scratch/opt" -name '*det-*' -o -name 'libdet*')" ] || fail "uninstall forgot the PREFIX of install"

# What is given is stronger than what is kept; a value of any characters is kept as it is.
odd=(CFLAGS="-DODD='\"#,)\"' -DSPACE='\" \"'" LDFLAGS="-Wl,-rpath,'\$\$ORIGIN/../lib'")
again user "${words[@]}" CUDA=0 "${odd[@]}"
[ "$(count ' -c ')" -gt 100 ] || fail "other CFLAGS compile nothing"
[ "$(count '\$ORIGIN/../lib')" -gt 0 ] || fail "LDFLAGS did not arrive"
again sudo_ install DESTDIR="$scratch/odd"
expect_compiled 0 "install after a make with odd words"
again user CFLAGS=-DGIVEN install DESTDIR="$scratch/odd"
[ "$(count '-DGIVEN')" -gt 100 ] && [ "$(count '-DODD')" = 0 ] || fail "CFLAGS given to install do not count"
again user "${words[@]}"
[ "$(count '-DGIVEN')" = 0 ] && [ "$(count ' -c ')" -gt 100 ] || fail "make takes words that it was not given"
[ "$(count '^nvcc .* -o ')" = 0 ] || fail "kernels were compiled again though nothing of theirs had changed"

# A library that is hidden: its header, or what is linked.
mkdir -p "$scratch/hidden" "$scratch/none"
hidden() { # NAME HEADER PACKAGE OBJECT
    mkdir -p "$(dirname "$scratch/hidden/$2")"
    echo '#error hidden' > "$scratch/hidden/$2"
    if env CPATH="$scratch/hidden" make -s BUILD="$scratch/real" CUDA=0 "$scratch/real/obj/$4" < /dev/null > "$scratch/log" 2>&1; then
        fail "builds without $1"
    fi
    grep -q "^$1 is missing .* install $3 (Debian, Ubuntu) or .* (Fedora)" "$scratch/log" || { cat "$scratch/log" >&2; fail "does not say what to install for $1"; }
    [ "$(grep -c error: "$scratch/log")" = 0 ] || { cat "$scratch/log" >&2; fail "$1 is missing: the compiler was asked all the same"; }
    rm "$scratch/hidden/$2"
}
object=libdet/base/build.o
hidden libjpeg jpeglib.h libjpeg-dev "$object"
hidden libpng png.h libpng-dev "$object"
hidden zlib zlib.h zlib1g-dev "$object"
hidden snappy snappy-c.h libsnappy-dev "$object"
hidden cmocka cmocka.h libcmocka-dev tests/runner.o
hidden cJSON cjson/cJSON.h libcjson-dev bench/cpu/measure.o
echo "no library" > "$scratch/none/libjpeg.so"
! make -s BUILD="$scratch/unlinked" CUDA=0 LDFLAGS="-L$scratch/none" "$scratch/unlinked/obj/$object" > "$scratch/log" 2>&1 || fail "builds with a libjpeg that cannot be linked"
grep -q '^libjpeg is missing' "$scratch/log" || fail "does not say that libjpeg cannot be linked"
! make -s BUILD="$scratch/real" CUDA=0 CC="$scratch/no-compiler" "$scratch/real/obj/$object" > "$scratch/log" 2>&1 || fail "builds without a compiler"
grep -q "^libdet needs a C compiler, and '$scratch/no-compiler' does not" "$scratch/log" || fail "does not say that there is no compiler"

# check-deps.
table() { make -s BUILD="$scratch/real" CUDA=0 check-deps > "$scratch/log" 2>&1; }
table || { cat "$scratch/log" >&2; fail "check-deps fails where everything that is required is there"; }
[ "$(grep -cE '^found +(libjpeg|libpng|zlib|snappy) ' "$scratch/log")" = 4 ] || fail "check-deps does not list what is required"
echo '#error hidden' > "$scratch/hidden/png.h"
! CPATH="$scratch/hidden" table || fail "check-deps: status 0 without libpng"
grep -q '^MISSING *libpng .*libpng-dev' "$scratch/log" || fail "check-deps does not say that libpng is missing"
rm "$scratch/hidden/png.h"
PKG_CONFIG_LIBDIR="$scratch/none" table || fail "check-deps fails without what is optional"
[ "$(grep -cE '^missing +(expat|libyaml|libzip|libwebp|FFmpeg|SDL2) .*-dev' "$scratch/log")" = 6 ] || { cat "$scratch/log" >&2; fail "check-deps does not list what is optional"; }
MPICC="$scratch/no-mpicc" table || fail "check-deps fails without MPI"
grep -q '^missing *MPI .*no-mpicc was not found.*libopenmpi-dev' "$scratch/log" || fail "check-deps does not say that MPI is missing"
MPICC="$scratch/mpi/bin/mpicc" table || fail "check-deps fails with MPI"
grep -q '^found *MPI *9.8 .*(MPICH)' "$scratch/log" || fail "check-deps does not say which MPI there is"
PKG_CONFIG="$scratch/no-pkg-config" table
grep -q '^missing *pkg-config ' "$scratch/log" || fail "check-deps does not say that pkg-config is missing"
echo "build: what is built is used, what is missing is said"
