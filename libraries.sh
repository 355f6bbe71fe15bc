#!/bin/sh
# The libraries that libdet is built with. Called by make (libraries.mk), which says in the environment how it compiles.
#
#   libraries.sh build|tests     quiet when the libraries for that are there; a line for each that is not, and status 1
#   libraries.sh all             all of them, as a table; status 1 when one is missing that the build needs
set -u

# need|name|pkg-config's packages|header|linked with|Debian's and Ubuntu's packages|Fedora's packages|what it is for
# What is optional is looked for by pkg-config alone, as make does it; MPI, which has none, by its mpicc (mpi.mk).
table='
build|libjpeg|libjpeg|jpeglib.h|-ljpeg|libjpeg-dev|libjpeg-turbo-devel|JPEG pictures
build|libpng|libpng|png.h|-lpng|libpng-dev|libpng-devel|PNG pictures
build|zlib|zlib|zlib.h|-lz|zlib1g-dev|zlib-devel|compressed records
build|snappy|snappy|snappy-c.h|-lsnappy|libsnappy-dev|snappy-devel|checkpoints of TensorFlow
tests|cmocka|cmocka|setjmp.h stdarg.h stdint.h cmocka.h|-lcmocka|libcmocka-dev|libcmocka-devel|make test
tests|cJSON|libcjson|cjson/cJSON.h|-lcjson|libcjson-dev|cjson-devel|make test, make bench
optional|expat|expat|||libexpat1-dev|expat-devel|annotations in XML (Pascal VOC, CVAT)
optional|libyaml|yaml-0.1|||libyaml-dev|libyaml-devel|data.yaml of YOLO
optional|libzip|libzip|||libzip-dev|libzip-devel|data sets in .zip
optional|libwebp|libwebp libwebpdemux|||libwebp-dev|libwebp-devel|WebP pictures
optional|FFmpeg|libavformat libavcodec libavutil libswscale libavdevice|||libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libavdevice-dev|ffmpeg-free-devel|videos, cameras and streams in det-detect
optional|SDL2|sdl2|||libsdl2-dev|SDL2-devel|a window in det-detect
'
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# Headers and libraries are found when a program with them is compiled and linked, by the build's own words.
links() {
    printf '#include <stdio.h>\n' > "$scratch/program.c"
    for header in $1; do
        printf '#include <%s>\n' "$header"
    done >> "$scratch/program.c"
    printf 'int main(void)\n{\n    return 0;\n}\n' >> "$scratch/program.c"
    eval "$DET_COMPILE -w -o \"\$scratch/program\" \"\$scratch/program.c\" $DET_LINK $2" > "$scratch/log" 2>&1
}
packages_exist() {
    eval "$DET_PKG_CONFIG --exists $1" 2> /dev/null
}
version_of() {
    eval "$DET_PKG_CONFIG --modversion ${1%% *}" 2> /dev/null || echo -
}
install_line() {
    printf 'install %s (Debian, Ubuntu) or %s (Fedora)' "$1" "$2"
}

if ! links "" ""; then
    echo "libdet needs a C compiler, and '$DET_CC' does not compile an empty program: $(install_line build-essential 'gcc make'), or name another (make CC=...)" >&2
    sed 's/^/  /' "$scratch/log" | head -n 3 >&2
    exit 1
fi

wanted=$1
missing=0
[ "$wanted" != all ] || printf '%-9s %-11s %-10s %s\n' "" library version "for, and what to install"
while IFS='|' read -r need name packages headers link debian fedora purpose; do
    case $need-$wanted in
    "-"*) continue ;;
    *-all | build-build | tests-tests) ;;
    *) continue ;;
    esac
    if [ "$need" = optional ]; then
        packages_exist "$packages"
    else
        links "$headers" "$link"
    fi
    found=$?
    if [ "$wanted" = all ]; then
        case $found-$need in
        0-*) printf '%-9s %-11s %-10s %s\n' found "$name" "$(version_of "$packages")" "$purpose" ;;
        *-build) printf '%-9s %-11s %-10s %s: required; %s\n' MISSING "$name" "" "$purpose" "$(install_line "$debian" "$fedora")" ;;
        *) printf '%-9s %-11s %-10s %s; %s\n' missing "$name" "" "$purpose" "$(install_line "$debian" "$fedora")" ;;
        esac
    elif [ $found -ne 0 ]; then
        echo "$name is missing ($purpose): '$DET_CC' does not find ${headers##* } or $link; $(install_line "$debian" "$fedora"); make check-deps lists all" >&2
    fi
    [ $found -eq 0 ] || [ "$need" = optional ] || [ "$need-$wanted" = tests-all ] || missing=$((missing + 1))
done << END
$table
END
if [ "$wanted" = all ]; then
    if ! eval "$DET_PKG_CONFIG --version" > /dev/null 2>&1; then
        printf '%-9s %-11s %-10s %s; %s\n' missing pkg-config "" "what is optional is not found without it" "$(install_line pkg-config pkgconf-pkg-config)"
    fi
    if [ -n "$DET_MPI" ]; then
        printf '%-9s %-11s %-10s %s\n' found MPI "${DET_MPI##* }" "training on several machines or by several processes (${DET_MPI% *})"
    else
        printf '%-9s %-11s %-10s %s; %s\n' missing MPI "" "training on several machines or by several processes ($DET_MPI_WITHOUT)" "$(install_line 'libopenmpi-dev openmpi-bin' openmpi-devel)"
    fi
    if [ -n "$DET_CUDA_HOME" ]; then
        printf '%-9s %-11s %-10s %s\n' found CUDA "" "training and detection on a GPU ($DET_CUDA_HOME)"
    else
        printf '%-9s %-11s %-10s %s\n' without CUDA "" "training and detection on a GPU (what is missing: $DET_CUDA_WITHOUT); NVIDIA's CUDA toolkit with cuBLAS, and cuDNN: docs/cuda.md"
    fi
    [ $missing -eq 0 ] || echo "$missing of the required libraries are missing"
fi
[ $missing -eq 0 ]
