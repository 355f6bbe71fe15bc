#!/usr/bin/env python3
"""Instructions with operands and the result that PTX's manual gives them, as a kernel and as a table for the test.

usage: instructions.py ptx ARCH | instructions.py table

The kernel `instructions(const uint64_t (*in)[4], uint64_t *out)` computes case i from in[i] into out[i]; the table has the
cases as C's initializers of {text, in, out, fused, approximate}; `fused` is the result where products and sums are.
"""

import math
import struct
import sys

from cplusplus import FUNCTIONS, TYPES
from ptx import BYTES

INF, NAN = math.inf, math.nan
TINY = 2.0 ** -149  # the least subnormal float
NAN_BITS = 0x7FC00000
ALL32, ALL64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF

# Products that a sum takes up: with %p for the product, of a and b.
SUMS = {
    "a*b+c": ("mul.f32", "add.f32 %d, %p, %c"),
    "c+a*b": ("mul.f32", "add.f32 %d, %c, %p"),
    "a*b-c": ("mul.f32", "sub.f32 %d, %p, %c"),
    "c-a*b": ("mul.f32", "sub.f32 %d, %c, %p"),
    "rn(a*b)+c": ("mul.rn.f32", "add.f32 %d, %p, %c"),
    "rn(a*b+c)": ("mul.f32", "add.rn.f32 %d, %p, %c"),
}
EDGE = 1 + 2.0 ** -12  # its square is 1 + 2^-11 + 2^-24, one bit too many for a float

# Instruction, operands, result, and that of a sum where it is fused. Integers may be negative; floats are given by value.
CASES = [
    ("add.s32", [0x7FFFFFFF, 1], -0x80000000),
    ("add.s64", [0x7FFFFFFFFFFFFFFF, 1], -0x8000000000000000),
    ("add.s16", [0x7FFF, 1], -0x8000),
    ("add.f32", [1.0, 2.0 ** -24], 1.0),
    ("add.f32", [16777216.0, 3.0], 16777220.0),
    ("add.rn.f32", [1.0, 2.0 ** -23], 1 + 2.0 ** -23),
    ("add.f64", [1.0, 2.0 ** -52], 1 + 2.0 ** -52),
    ("add.rz.f32", [1.0, 2.0 ** -23 - 2.0 ** -47], 1.0),
    ("add.rz.f32", [-1.0, -(2.0 ** -23 - 2.0 ** -47)], -1.0),
    ("sub.s32", [-0x80000000, 1], 0x7FFFFFFF),
    ("sub.s64", [0, 1], -1),
    ("sub.rn.f32", [1.0, 0.5], 0.5),
    ("sub.f32", [INF, INF], NAN),
    ("mul.f32", [TINY, 0.5], 0.0),
    ("mul.f32", [TINY, 3.0], 3 * TINY),
    ("mul.rn.f32", [3.0e38, 10.0], INF),
    ("mul.f64", [3.0, 0.5], 1.5),
    ("mul.lo.s32", [0x10001, 0x10001], 0x20001),
    ("mul.lo.s64", [0x100000001, 0x100000001], 0x200000001),
    ("mul.lo.u16", [0xFFFF, 0xFFFF], 1),
    ("mul.wide.s32", [-3, 5], -15),
    ("mul.wide.u32", [ALL32, ALL32], 0xFFFFFFFE00000001),
    ("mul.wide.s16", [-300, 300], -90000),
    ("mul.wide.u16", [0xFFFF, 0xFFFF], 0xFFFE0001),
    ("mad.lo.s32", [0x10000, 0x10000, 7], 7),
    ("fma.rn.f32", [1 + 2.0 ** -12, 1 + 2.0 ** -12, -1.0], 2.0 ** -11 + 2.0 ** -24),
    ("fma.rn.f64", [1 + 2.0 ** -30, 1 + 2.0 ** -30, -1.0], 2.0 ** -29 + 2.0 ** -60),
    ("fma.rm.f32", [2.0 ** -30, 1.0, 1.0], 1.0),
    ("fma.rm.f32", [-(2.0 ** -30), 1.0, 1.0], 1 - 2.0 ** -24),
    ("div.s32", [-7, 2], -3),
    ("div.s32", [-0x80000000, -1], -0x80000000),
    ("div.u32", [ALL32, 2], 0x7FFFFFFF),
    ("div.s64", [-7, -2], 3),
    ("div.u64", [ALL64, ALL64], 1),
    ("rem.s32", [-7, 2], -1),
    ("rem.s32", [-0x80000000, -1], 0),
    ("rem.u32", [ALL32, 10], 5),
    ("rem.s64", [7, -2], 1),
    ("div.rn.f32", [1.0, 3.0], struct.unpack("f", struct.pack("f", 1 / 3))[0]),
    ("div.rn.f64", [1.0, 3.0], 1 / 3),
    ("div.rn.f32", [1.0, -0.0], -INF),
    ("div.full.f32", [1.0, 4.0], 0.25),
    ("div.approx.f32", [-1.0, 8.0], -0.125),
    ("rcp.rn.f32", [4.0], 0.25),
    ("rcp.rn.f64", [8.0], 0.125),
    ("rcp.approx.f32", [TINY], INF),
    ("rcp.approx.ftz.f32", [-TINY], -INF),
    ("rcp.approx.ftz.f32", [16.0], 0.0625),
    ("sqrt.rn.f32", [2.0], struct.unpack("f", struct.pack("f", 2 ** 0.5))[0]),
    ("sqrt.rn.f64", [2.0], 2 ** 0.5),
    ("sqrt.approx.f32", [9.0], 3.0),
    ("sqrt.approx.ftz.f32", [-0.0], -0.0),
    ("rsqrt.approx.f32", [0.25], 2.0),
    ("rsqrt.approx.ftz.f32", [TINY], INF),
    ("ex2.approx.f32", [-149.0], TINY),
    ("ex2.approx.ftz.f32", [-149.0], 0.0),
    ("ex2.approx.ftz.f32", [-INF], 0.0),
    ("ex2.approx.ftz.f32", [10.0], 1024.0),
    ("lg2.approx.f32", [TINY], -149.0),
    ("lg2.approx.ftz.f32", [TINY], -INF),
    ("lg2.approx.ftz.f32", [-1.0], NAN),
    ("lg2.approx.ftz.f32", [8.0], 3.0),
    ("sin.approx.f32", [1.0], struct.unpack("f", struct.pack("f", math.sin(1)))[0]),
    ("sin.approx.ftz.f32", [-TINY], -0.0),
    ("cos.approx.f32", [1.0], struct.unpack("f", struct.pack("f", math.cos(1)))[0]),
    ("cos.approx.ftz.f32", [INF], NAN),
    ("min.s32", [-1, 1], -1),
    ("min.u32", [ALL32, 1], 1),
    ("min.s64", [-1, 1], -1),
    ("min.f32", [NAN, 1.0], 1.0),
    ("min.f32", [1.0, NAN], 1.0),
    ("min.f32", [0.0, -0.0], -0.0),
    ("min.f32", [NAN, NAN], NAN),
    ("max.s32", [-1, 1], 1),
    ("max.u64", [ALL64, 1], ALL64),
    ("max.f32", [NAN, -1.0], -1.0),
    ("min.NaN.f32", [NAN, 6.0], NAN),
    ("min.NaN.f32", [7.0, 6.0], 6.0),
    ("max.NaN.f32", [NAN, 0.0], NAN),
    ("max.NaN.f32", [0.0, NAN], NAN),
    ("max.NaN.f32", [-1.0, 0.0], 0.0),
    ("max.f32", [-1.0, NAN], -1.0),
    ("max.f32", [-0.0, 0.0], 0.0),
    ("max.f64", [0.0, -0.0], 0.0),
    ("abs.s32", [-0x80000000], -0x80000000),
    ("abs.f32", [-0.0], 0.0),
    ("abs.f64", [-2.0], 2.0),
    ("neg.s32", [-0x80000000], -0x80000000),
    ("neg.f32", [0.0], -0.0),
    ("copysign.f32", [-1.0, 2.5], -2.5),
    ("copysign.f32", [0.0, -3.0], 3.0),
    ("copysign.f64", [-0.0, 1.0], -1.0),
    ("and.b32", [0xFF00FF00, 0x0FF00FF0], 0x0F000F00),
    ("and.pred", [1, 0], 0),
    ("or.b64", [1 << 63, 1], (1 << 63) | 1),
    ("or.pred", [1, 0], 1),
    ("xor.b16", [0xFFFF, 0x00FF], 0xFF00),
    ("xor.pred", [1, 1], 0),
    ("not.b16", [1], 0xFFFE),
    ("not.b64", [0], ALL64),
    ("not.pred", [1], 0),
    ("shl.b32", [1, 31], 1 << 31),
    ("shl.b32", [1, 32], 0),
    ("shl.b32", [1, ALL32], 0),
    ("shl.b64", [3, 63], 1 << 63),
    ("shr.u32", [ALL32, 31], 1),
    ("shr.u32", [ALL32, 32], 0),
    ("shr.s32", [-0x80000000, 31], -1),
    ("shr.s32", [-0x80000000, 99], -1),
    ("shr.s64", [-4, 1], -2),
    ("shr.b64", [1 << 63, 63], 1),
    ("selp.b32", [1, 2, 1], 1),
    ("selp.f64", [1.5, 2.5, 0], 2.5),
    ("popc.b32", [0xF0F0F0F0], 16),
    ("popc.b64", [ALL64], 64),
    ("brev.b32", [1], 1 << 31),
    ("brev.b64", [2], 1 << 62),
    ("bfind.shiftamt.u32", [1], 31),
    ("bfind.shiftamt.u32", [0], ALL32),
    ("bfind.shiftamt.s32", [-1], ALL32),
    ("bfind.shiftamt.s32", [-3], 30),
    ("bfind.shiftamt.u64", [1 << 40], 23),
    ("bfi.b32", [0xF5, ALL32, 4, 8], 0xFFFFFF5F),
    ("bfi.b32", [ALL32, 0, 28, 8], 0xF0000000),
    ("bfi.b32", [ALL32, 7, 32, 8], 7),
    ("bfi.b32", [ALL32, 7, 8, 256], 7),
    ("bfi.b64", [0x3F800000, 0x1FFFFFFFF, 32, 32], 0x3F800000FFFFFFFF),
    ("bfi.b64", [5, ALL64, 0, 255], 5),
    ("prmt.b32", [0x83828180, 0x87868584, 0x0741], 0x80878481),
    ("prmt.b32", [0x7F82017F, 0, 0xBA98], 0x00FF0000),
    ("dp4a.s32.s32", [0x7F80FF01, 0x7F807F02, 100], 127 * 127 + 128 * 128 - 127 + 2 + 100),
    ("dp4a.s32.s32", [0x7F7F7F7F, 0x7F7F7F7F, 0x7FFFFFFF], 0x7FFFFFFF + 4 * 127 * 127 - (1 << 32)),
    ("setp.eq.s32", [1, 1], 1),
    ("setp.ne.s64", [1, 1], 0),
    ("setp.lt.s32", [-1, 0], 1),
    ("setp.lt.u32", [ALL32, 0], 0),
    ("setp.le.s16", [-2, -2], 1),
    ("setp.gt.u64", [ALL64, 1], 1),
    ("setp.ge.s64", [-1, 0], 0),
    ("setp.eq.f32", [0.0, -0.0], 1),
    ("setp.eq.f32", [NAN, NAN], 0),
    ("setp.ne.f32", [NAN, 1.0], 0),
    ("setp.neu.f32", [NAN, 1.0], 1),
    ("setp.equ.f32", [NAN, 1.0], 1),
    ("setp.equ.f32", [2.0, 1.0], 0),
    ("setp.lt.f32", [NAN, 1.0], 0),
    ("setp.ltu.f32", [NAN, 1.0], 1),
    ("setp.ltu.f32", [1.0, 1.0], 0),
    ("setp.leu.f32", [1.0, 1.0], 1),
    ("setp.leu.f32", [2.0, 1.0], 0),
    ("setp.gtu.f32", [1.0, 1.0], 0),
    ("setp.gtu.f32", [1.0, NAN], 1),
    ("setp.geu.f32", [1.0, 1.0], 1),
    ("setp.geu.f32", [0.0, 1.0], 0),
    ("setp.gt.f64", [2.0, 1.0], 1),
    ("setp.ge.f64", [NAN, 1.0], 0),
    ("setp.num.f32", [NAN, 1.0], 0),
    ("setp.nan.f32", [1.0, NAN], 1),
    ("cvt.u32.u16", [0xFFFF], 0xFFFF),
    ("cvt.s32.s16", [-2], -2),
    ("cvt.s32.s8", [-2], -2),
    ("cvt.u16.u32", [0x12345678], 0x5678),
    ("cvt.s64.s32", [-2], -2),
    ("cvt.u64.u32", [ALL32], ALL32),
    ("cvt.u32.u64", [0x123456789], 0x23456789),
    ("cvt.rn.f32.s32", [0x1000001], 16777216.0),
    ("cvt.rn.f32.u16", [65535], 65535.0),
    ("cvt.rn.f32.s64", [-(2 ** 62)], -(2.0 ** 62)),
    ("cvt.rn.f64.s32", [-3], -3.0),
    ("cvt.rn.f32.f64", [1 + 2.0 ** -24], 1.0),
    ("cvt.f64.f32", [0.5], 0.5),
    ("cvt.rzi.s32.f32", [-2.9], -2),
    ("cvt.rzi.s32.f32", [3.0e9], 0x7FFFFFFF),
    ("cvt.rzi.s32.f32", [-INF], -0x80000000),
    ("cvt.rzi.s32.f32", [NAN], 0),
    ("cvt.rzi.u32.f32", [-1.0], 0),
    ("cvt.rzi.s64.f64", [-2.9], -2),
    ("cvt.rni.s32.f32", [2.5], 2),
    ("cvt.rmi.s32.f32", [-2.1], -3),
    ("cvt.rpi.s32.f32", [2.1], 3),
    ("cvt.rmi.f32.f32", [-2.1], -3.0),
    ("cvt.rpi.f32.f32", [-2.1], -2.0),
    ("cvt.rni.f32.f32", [3.5], 4.0),
    ("cvt.rzi.f32.f32", [-0.5], -0.0),
    ("cvt.sat.f32.f32", [-1.0], 0.0),
    ("cvt.sat.f32.f32", [2.0], 1.0),
    ("cvt.sat.f32.f32", [0.25], 0.25),
    ("cvt.sat.f32.f32", [NAN], 0.0),
    ("cvt.rn.bf16.f32", [1 + 2.0 ** -8], 0x3F80),
    ("cvt.rn.bf16.f32", [1 + 3 * 2.0 ** -8], 0x3F82),
    ("cvt.rn.bf16.f32", [NAN], 0x7FFF),
    ("cvt.f32.bf16", [0xBF80], -1.0),
    ("a*b+c", [EDGE, EDGE, -1.0], 2.0 ** -11, 2.0 ** -11 + 2.0 ** -24),
    ("c+a*b", [EDGE, -EDGE, 1.0], -(2.0 ** -11), -(2.0 ** -11) - 2.0 ** -24),
    ("a*b-c", [EDGE, EDGE, 1.0], 2.0 ** -11, 2.0 ** -11 + 2.0 ** -24),
    ("c-a*b", [EDGE, EDGE, 1.0], -(2.0 ** -11), -(2.0 ** -11) - 2.0 ** -24),
    ("rn(a*b)+c", [EDGE, EDGE, -1.0], 2.0 ** -11),
    ("rn(a*b+c)", [EDGE, EDGE, -1.0], 2.0 ** -11),
]


def types_of(opcode):
    """The types of an instruction's sources, and of its result."""
    if opcode in SUMS:
        return ["f32"] * 3, "f32"
    parts = opcode.split(".")
    bits = {"bf16": "b16"}
    if parts[0] == "cvt":
        return [bits.get(parts[-1], parts[-1])], bits.get(parts[-2], parts[-2])
    if parts[0] == "setp":
        return [parts[-1]] * 2, "pred"
    kind, function, sources = FUNCTIONS[opcode]
    result = kind
    if function == "multiply_wide":
        result = f"{kind[0]}{int(kind[1:]) * 2}"
    elif function in ("ones", "find_shift"):
        result = "u32"
    return [kind if s == "T" else s for s in sources], result


def bits_of(value, kind):
    """The value's bits as the unsigned number of its width."""
    if kind == "f32":
        return NAN_BITS if value != value else struct.unpack("I", struct.pack("f", value))[0]
    if kind == "f64":
        return struct.unpack("Q", struct.pack("d", value))[0]
    return value & ((1 << BYTES[kind] * 8) - 1)


def store(register, kind, at):
    """Stores a result of the type as 8 bytes."""
    if kind == "pred":
        return f"selp.u64 %out, 1, 0, {register};\n    st.global.u64 [%to+{at}], %out;"
    return f"st.global.b{BYTES[kind] * 8} [%to+{at}], {register};"


def register(kind, place):
    """A name, unlike that of other types and places."""
    return f"%{kind}_{place}_"


def kernel(arch):
    """The PTX, as if it were made for that architecture."""
    lines = ["// By tests/cuda_ptx/instructions.py.", ".version 7.8", f".target sm_{arch}", ".address_size 64",
             ".visible .entry instructions(", "    .param .u64 in,", "    .param .u64 out", ")", "{",
             "    .reg .b64 %from, %to, %out, %truth;", f"    .reg .f32 %product<{len(CASES)}>;"]
    for kind in (k for k in TYPES if k not in ("b8", "u8")):
        held = "b16" if kind == "s8" else kind
        lines.append(f"    .reg .{held} " + ", ".join(register(kind, p) for p in "abcde") + ";")
    lines += ["    ld.param.u64 %from, [in];", "    ld.param.u64 %to, [out];"]
    for i, (opcode, *_) in enumerate(CASES):
        sources, result = types_of(opcode)
        for place, (name, kind) in enumerate(zip("abce", sources)):
            at = f"[%from+{i * 32 + place * 8}]"
            if kind == "pred":
                lines += [f"    ld.global.u64 %truth, {at};", f"    setp.ne.s64 {register(kind, name)}, %truth, 0;"]
            else:
                lines.append(f"    ld.global.{kind} {register(kind, name)}, {at};")
        target, *names = [register(k, n) for n, k in zip("dabce", [result, *sources])]
        if opcode in SUMS:
            product, total = SUMS[opcode]
            lines.append(f"    {product} %product{i}, {names[0]}, {names[1]};")
            total = total.replace("%p", f"%product{i}").replace("%d", target).replace("%c", names[2])
            lines.append(f"    {total};")
        else:
            lines.append(f"    {opcode} {', '.join([target, *names])};")
        lines.append("    " + store(target, result, i * 8))
    return "\n".join([*lines, "    ret;", "}", ""])


def table():
    """The initializers."""
    lines = []
    for opcode, operands, *expected in CASES:
        sources, result = types_of(opcode)
        text = f"{opcode} {', '.join(str(o) for o in operands)}"
        ins = ", ".join(f"0x{bits_of(o, k):X}" for o, k in zip(operands, sources))
        out, fused = (f"0x{bits_of(value, result):X}" for value in (expected[0], expected[-1]))
        approximate = "true" if ".approx" in opcode or ".full" in opcode else "false"
        lines.append(f'{{"{text}", {{{ins}}}, {out}, {fused}, {approximate}}},')
    return "\n".join([*lines, ""])


def main(arguments):
    if arguments == ["table"]:
        sys.stdout.write(table())
    elif len(arguments) == 2 and arguments[0] == "ptx":
        sys.stdout.write(kernel(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
