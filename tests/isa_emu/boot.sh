#!/bin/sh
# Runs groups of the release build's tests on an emulated processor with AVX-512: Bochs (a Skylake-X) boots a Linux kernel whose
# only program they are. Unlike the isa-emu build, which compiles the kernels for AVX2, this runs the very machine code that
# users run, the choice of the instruction set included. Minutes to hours: every instruction is interpreted.
#
#   tests/isa_emu/boot.sh BIN_DIR WORK_DIR GROUP...
#
# Needs bochs, bochs-term, bochsbios, vgabios, busybox-static, isolinux, xorriso and cpio; KERNEL=FILE names a kernel image, without it
# Debian's for virtual machines is downloaded (not installed). The end is that of det-tests: its totals, and its exit status.
set -eu

bin=$1 work=$2
shift 2
fail() {
    echo "boot.sh: $*" >&2
    exit 1
}
for tool in bochs busybox xorriso cpio script ldd; do
    command -v "$tool" > /dev/null || fail "$tool is not installed"
done
syslinux=/usr/lib/syslinux/modules/bios/ldlinux.c32
isolinux=/usr/lib/ISOLINUX/isolinux.bin
if [ ! -f $isolinux ] || [ ! -f $syslinux ]; then
    fail "isolinux is not installed"
fi
if ldd "$(command -v busybox)" > /dev/null 2>&1; then
    fail "busybox is linked with libraries: install busybox-static"
fi

rm -rf "$work/root" "$work/disc"
mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp" "$work/root/libdet" "$work/disc/isolinux"
if [ -z "${KERNEL:-}" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
    [ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64: name a kernel image with KERNEL=FILE"
    if [ ! -d "$work/$package" ]; then
        (cd "$work" && apt-get -qq download "$package" && dpkg -x "$package"_*.deb "$package")
    fi
    KERNEL=$(ls "$work/$package"/boot/vmlinuz-*)
fi

# The file system: the tests, what they read, the libraries, a shell.
root=$work/root
cp "$(command -v busybox)" "$root/bin/"
cp "$bin/det-tests" "$bin/det-info" "$root/libdet/"
cp -r data "$root/libdet/"
mkdir "$root/libdet/tests"
cp -r tests/golden "$root/libdet/tests/"
ldd "$bin/det-tests" "$bin/det-info" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cat > "$root/init" << END
#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t tmpfs tmp /tmp
exec > /dev/ttyS0 2>&1
cd /libdet
echo "libdet: booted"
./det-info
./det-tests $*
echo "libdet: exit status \$?"
busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/disc/initrd.gz"

# Bochs 2.7 gives the size of the processor's state without compaction: the kernel has to do without XSAVEC (321) and XSAVES (323).
cp "$KERNEL" "$work/disc/vmlinuz"
cp $isolinux $syslinux "$work/disc/isolinux/"
cat > "$work/disc/isolinux/isolinux.cfg" << END
DEFAULT libdet
LABEL libdet
  KERNEL /vmlinuz
  APPEND initrd=/initrd.gz console=ttyS0,115200 rdinit=/init nokaslr mitigations=off nopku clearcpuid=321,323 tsc=reliable no_timer_check quiet
END
xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$work/disc" 2> /dev/null
cat > "$work/bochsrc" << END
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
megs: 1536
cpu: model=corei7_skylake_x, count=1, ips=100000000
clock: sync=none
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial.txt
log: $work/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
END
echo c > "$work/commands" # Debian's Bochs starts in its debugger
: > "$work/serial.txt"
script -qfc "stty rows 50 cols 160; exec timeout 14400 bochs -q -f '$work/bochsrc' -rc '$work/commands'" /dev/null < /dev/null > "$work/screen.txt" 2>&1 &
machine=$!
trap 'kill $machine 2> /dev/null || true; pkill -f "$work/bochsrc" || true' EXIT
tail -f --pid=$machine "$work/serial.txt" | sed -un '/libdet: booted/,/libdet: exit status/p' &
while kill -0 $machine 2> /dev/null; do
    sleep 2
    grep -q "libdet: exit status" "$work/serial.txt" && break
done
sleep 1
status=$(sed -n 's/.*libdet: exit status \([0-9]*\).*/\1/p' "$work/serial.txt")
[ -n "$status" ] || fail "the machine ended before the tests did: $work/serial.txt, $work/bochs.log"
exit "$status"
