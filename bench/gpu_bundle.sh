#!/bin/sh
# gpu_bundle.sh FOLDER "ARCHITECTURES" FILE...: all that gpu_check.sh needs on a machine that has no compiler, no headers and no network:
# FOLDER/bin, the files that are programs, stripped; FOLDER/lib/libdet, those that libdet loads; FOLDER/lib, what both are linked with
# besides glibc (programs look in ../lib); FOLDER/bench and
# FOLDER/tests/golden, so that the folder is enough alone; FOLDER/shared, the goldens and records that are not in the
# repository, where they are. Says the sizes; a folder that with the tracked files is larger than 64 MiB is an error.
set -eu
cd "$(dirname "$0")/.."
folder=$1 architectures=$2
shift 2
new=build/gpu-bundle.new
[ ! -e "$folder" ] || [ -e "$folder/architectures" ] || {
    echo "gpu_bundle.sh: $folder is something else than an earlier bundle" >&2
    exit 1
}
rm -rf "$new"
mkdir -p "$new/bin" "$new/lib/libdet" "$new/bench/peers" "$new/tests"
for file; do
    case $file in
    *.so) strip --strip-unneeded -o "$new/lib/libdet/${file##*/}" "$file" ;;
    *) strip -o "$new/bin/${file##*/}" "$file" ;;
    esac
done

ldd "$@" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
    case ${library##*/} in
    libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libresolv.so.* | ld-linux*) ;;
    *) strip --strip-unneeded -o "$new/lib/${library##*/}" "$library" ;;
    esac
done

cp bench/gpu_check.sh bench/gpu_groups.sh bench/gpu_demo.sh bench/gpu_profile.sh "$new/bench"
cp bench/peers/gpu_torch.py bench/peers/torch_network.py bench/peers/train.py bench/peers/networks.py bench/peers/common.py "$new/bench/peers"
cp -r tests/golden "$new/tests"
shared=${DET_SHARED:-../shared}
for name in goldens/train_real_focal/images.npy goldens/train_real_focal/steps.json goldens/train_real_focal/grads_step0.json \
    goldens/train_real_focal/grads_full.npz goldens/train_real_focal/variables_after_5_steps.json goldens/train_real_sigmoid/steps.json \
    goldens/train_real_sigmoid/grads_step0.json goldens/train_real_sigmoid/grads_full.npz \
    goldens/train_real_sigmoid/variables_after_5_steps.json goldens/trained_raccoon/pipeline.config goldens/trained_raccoon/ckpt-2.index \
    goldens/trained_raccoon/ckpt-2.data-00000-of-00001 data/raccoon/label_map.pbtxt data/raccoon/test.tfrecord; do
    if [ -r "$shared/$name" ]; then
        mkdir -p "$new/shared/${name%/*}"
        cp "$shared/$name" "$new/shared/$name"
    fi
done
chmod -R u+w "$new"
echo "$architectures" > "$new/architectures"
git describe --always --dirty > "$new/commit" 2>/dev/null || echo unknown > "$new/commit"
if [ -d "$folder/bench/results" ]; then cp -r "$folder/bench/results" "$new/bench"; fi # measured with the earlier one
rm -rf "$folder"
mv "$new" "$folder"

bytes() { cat | xargs -0 -r stat -L -c %s | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }
mib() { awk "BEGIN { printf \"%.1f MiB\", $1 / 1048576 }"; }
bundle=$(find "$folder" -type f -print0 | bytes)
tracked=$(git ls-files -z 2>/dev/null | bytes)
echo "$folder, sm_$architectures: $(mib "$bundle") ($(mib "$(find "$folder/bin" -type f -print0 | bytes)") of programs); with the tracked files $(mib $((bundle + tracked)))"
[ $((bundle + tracked)) -lt 67108864 ] || {
    echo "gpu_bundle.sh: more than 64 MiB: fewer architectures (CUDA_ARCHS), or without the goldens (DET_SHARED=/nowhere)" >&2
    exit 1
}
