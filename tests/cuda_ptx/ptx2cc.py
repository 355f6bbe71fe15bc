#!/usr/bin/env python3
"""Translates what nvcc made of one .cu file, PTX of one architecture or several, into C++ for the emulation (tests/cuda_emu).

usage: ptx2cc.py KERNELS.cu OUT.cc PTX...

OUT.cc includes KERNELS.cu, so that it can name the kernels there, and adds a table of their translations: with it the
emulation runs nvcc's PTX wherever KERNELS.cu launches a kernel.
"""

import re
import subprocess
import sys

import ptx
from cplusplus import KernelWriter


def demangle(symbols):
    """{symbol: as C++ spells it}, by binutils' c++filt."""
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return dict(zip(symbols, text.split("\n")))


def without_arguments(signature):
    """What names the function in its own file: "f<(kind)1>" of "void (anonymous namespace)::f<(kind)1>(int)"."""
    signature = signature.replace("(anonymous namespace)::", "")
    depth = 0
    for at, character in enumerate(signature):
        depth += (character == "<") - (character == ">")
        if character == "(" and depth == 0:
            signature = signature[:at]
            break
    # A template's signature begins with what it returns, and kernels return nothing.
    return re.sub(r"^void ", "", signature)


def translate(cu_path, ptx_paths):
    """The text of OUT.cc. Raises PtxError."""
    modules = [ptx.read(path) for path in ptx_paths]
    kernels = [(module, kernel) for module in modules for kernel in module.kernels]
    symbols = {name for _, k in kernels for name in [k.name, *(v.name for v in k.shared)]}
    spelled = demangle(sorted(symbols))
    lines = [f"/* What nvcc made of {cu_path}, by tests/cuda_ptx/ptx2cc.py. */", f'#include "{cu_path}"', "",
             '#include "ptx.h"', "", "namespace det_ptx", "{", "namespace", "{"]
    table, written = [], {}
    for module, kernel in kernels:
        writer = KernelWriter(module, kernel, len(written))
        body = writer.function(spelled.get)
        # Where two architectures' PTX says the same, the first one's does for both.
        content = re.sub(r"here\(\d+\)|file, \d+|(kernel|shared)_\d+\b|file\[\] = .*", "", "\n".join(body))
        if content not in written:
            written[content] = writer.number
            lines += ["", *body]
        name = without_arguments(spelled[kernel.name])
        table.append(f"    {{host_function(&::{name}), {writer.limits}, kernel_{written[content]}}},")
    lines += ["", "const det_emu::translation table[] = {", *table, "};",
              "const det_emu::translations registered(table, sizeof table / sizeof table[0]);", "} // namespace",
              "} // namespace det_ptx", ""]
    return "\n".join(lines)


def main(arguments):
    if len(arguments) < 3:
        sys.exit(__doc__)
    cu_path, out_path, *ptx_paths = arguments
    try:
        text = translate(cu_path, ptx_paths)
    except ptx.PtxError as error:
        sys.exit(str(error))
    with open(out_path, "w", encoding="utf-8") as out:
        out.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
