#!/bin/sh
# Makes a folder with the C library and all that libdet links, headers too, of a Debian of another architecture, for `make CROSS=...
# SYSROOT=DIR` and qemu-user. Packages are only downloaded and unpacked: nothing is installed, root is not needed, this machine's list
# of architectures stays as it is.
#
#   tests/cross/sysroot.sh TARGET DIR        TARGET: aarch64-linux-gnu, riscv64-linux-gnu
#
# MIRROR (where this machine gets its own packages) and SUITE (its release; the first with riscv64 is trixie) choose the Debian. A
# folder that this script made already is left as it is.
set -eu

target=$1 dir=$2
case $target in
    aarch64-linux-gnu) architecture=arm64 ;;
    *) architecture=${target%-linux-gnu} ;;
esac
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Identifier: Packages' | sed -n "s/ $release main\$//p" | head -n 1)}
mirror=${mirror:-http://deb.debian.org/debian}
suite=${SUITE:-$release}
if [ "$architecture-$suite" = riscv64-bookworm ]; then
    suite=trixie
fi
packages="libc6-dev libjpeg62-turbo-dev zlib1g-dev libpng-dev libsnappy-dev libcjson-dev libexpat1-dev libcmocka-dev libwebp-dev libyaml-dev libzip-dev"

made="$mirror $suite $architecture $packages"
mark=$dir/made-by-sysroot.sh
if [ "$(cat "$mark" 2> /dev/null)" = "$made" ]; then
    exit 0
fi
if [ -e "$dir" ] && [ ! -e "$mark" ]; then
    echo "sysroot.sh: $dir is there already and was not made by this script" >&2
    exit 1
fi
rm -rf "$dir"
mkdir -p "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial"
dir=$(cd "$dir" && pwd)
mark=$dir/made-by-sysroot.sh
: > "$mark"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$dir/apt/sources.list"
: > "$dir/apt/status"
get() {
    apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Install-Recommends=false \
        -o APT::Sandbox::User="$(id -un)" -o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" \
        -o Dir::Cache="$dir/apt/cache" -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=- "$@"
}
get update
# shellcheck disable=SC2086
get install -y --download-only $packages > /dev/null

# As an installed Debian has it: /lib is /usr/lib.
mkdir -p "$dir/usr/lib"
ln -s usr/lib "$dir/lib"
for package in "$dir"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" --keep-directory-symlink --exclude='./usr/share/doc*' --exclude='./usr/share/man*'
done
find "$dir/usr" -type l -lname '/*' | while read -r link; do
    ln -sfn "$dir$(readlink "$link")" "$link"
done
rm -rf "$dir/apt/cache" "$dir/apt/state"
echo "$made" > "$mark"
