#!/usr/bin/env python3
"""What the translator says of PTX that it cannot translate, and that its parts know each other. Needs no nvcc."""

import os
import subprocess
import sys
import tempfile
import unittest

import instructions
from cplusplus import COMPUTING
from ptx2cc import without_arguments

HERE = os.path.dirname(os.path.abspath(__file__))
# Line 13 is the instruction.
KERNEL = """.version 7.8
.target sm_90
.address_size 64
.shared .align 4 .b8 shared[64];
.visible .entry kernel(
    .param .align 8 .b8 kernel_param_0[24]
)
{
    .reg .b64 %rd<5>;
    .reg .b32 %r<5>;
    .reg .b16 %rs<5>;
    .reg .pred %p<5>; /* two
    lines */ INSTRUCTION
    ret;
}
"""


class Translation(unittest.TestCase):
    def translate(self, text):
        """Runs the command on the PTX; returns its status, its message and what it wrote."""
        with tempfile.TemporaryDirectory() as folder:
            path, out = os.path.join(folder, "kernel.ptx"), os.path.join(folder, "out.cc")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            done = subprocess.run([os.path.join(HERE, "ptx2cc.py"), "kernel.cu", out, path], capture_output=True, text=True)
            written = ""
            if os.path.exists(out):
                with open(out, encoding="utf-8") as file:
                    written = file.read()
            return done.returncode, done.stderr.replace(folder + os.sep, ""), written

    def refused(self, text, line, message):
        status, error, written = self.translate(text)
        self.assertEqual((status, written), (1, ""), error)
        self.assertEqual(error, f"kernel.ptx:{line}: {message}\n")

    def test_unknown_instructions_are_named(self):
        for instruction in ["frobnicate.b32 %r1, %r2", "add.sat.s32 %r1, %r2, %r3", "add.f16 %rs1, %rs2, %rs3", "ld %r1, [%rd1]",
                            "ld.local.u32 %r1, [%rd1]", "st.param.u32 [kernel_param_0], %r1", "cvt.rn.f16.f32 %rs1, %r1",
                            "cvt.sat.s32.s32 %r1, %r2", "atom.global.add.f32 %r1, [%rd1], %r2", "bar.sync 1", "bar.sync 0, 64",
                            "bar.sync", "setp.foo.s32 %p1, %r1, %r2", "setp.lt.s32 %p1, %r1", "shfl.idx.b32 %r1, %r2, %r3, %r4",
                            "vote.sync.uni.pred %p1, %p2, %r1", "call f, (%r1)", "mov.v2.u32 %r1, %r2",
                            "cvta.local.u64 %rd1, %rd2", "ret.uni"]:
            with self.subTest(instruction):
                self.refused(KERNEL.replace("INSTRUCTION", instruction + ";"), 13, f"unknown instruction '{instruction}'")

    def test_bad_operands_are_named(self):
        for instruction, message in [
                ("add.s32 %r1, %r2, %r5", "operand '%r5' is not known"),
                ("add.s32 %q1, %r2, %r3", "'%q1' is no register"),
                ("add.s32 %r1, %r2", "add.s32 of 2 operands"),
                ("mov.u32 %r1, %clock", "operand '%clock' is not known"),
                ("ld.param.u64 %rd1, [kernel_param_0+20]", "'[kernel_param_0+20]' are no 8 bytes of a parameter"),
                ("ld.param.u64 %rd1, [%rd9]", "address '[%rd9]' is not known"),
                ("ld.global.u32 %r1, [nothing]", "address '[nothing]' is not known"),
                ("bra nowhere", "there is no label 'nowhere'"),
                ("ld.global.v2.u32 %r1, [%rd1]", "1 registers for 2"),
                ("ld.shared.u16 %rs1, [shared]", "shared memory is checked by words of 4 bytes: this access is narrower"),
                (".local .align 4 .b8 depot[8]", "'.local' in a kernel is not known")]:
            with self.subTest(instruction):
                self.refused(KERNEL.replace("INSTRUCTION", instruction + ";"), 13, message)

    def test_bad_modules_are_named(self):
        self.refused(".version 7.8\n.target sm_90\n.global .u32 counter;\n", 3, "'.global' outside a kernel is not known")
        self.refused(".version 7.8\n.target sm_90\n", 2, "no kernel")
        self.refused(KERNEL[:-2], 14, "found 'the end', expected more")
        self.refused(KERNEL.replace("b8 kernel_param_0", "b7 kernel_param_0"), 6, "'.b7' of a variable is not known")

    def test_a_kernel_is_translated(self):
        status, error, written = self.translate(KERNEL.replace("INSTRUCTION", "@!%p1 ld.shared.u32 %r1, [shared+4];"))
        self.assertEqual((status, error), (0, ""))
        self.assertIn("host_function(&::kernel), 90, 24, 0, kernel_0", written)
        self.assertIn('shared_0 = {{"shared", 1024, 64}}', written)
        self.assertIn("if (!as<bool>(reg_p1)) { here(13);", written)

    def test_names_of_kernels(self):
        for signature, name in [("plain", "plain"), ("f(int, float*)", "f"),
                                ("void (anonymous namespace)::f<float, (kind)1>(float (*) [4])", "f<float, (kind)1>"),
                                ("void f<(anonymous namespace)::tile>()", "f<tile>")]:
            self.assertEqual(without_arguments(signature), name)

    def test_every_function_has_a_case(self):
        tried = {opcode for opcode, *_ in instructions.CASES}
        for opcode, kinds, _, _ in COMPUTING:
            self.assertTrue(any(f"{opcode}.{kind}" in tried for kind in kinds.split()), f"no case of {opcode}")


if __name__ == "__main__":
    sys.exit(unittest.main())
