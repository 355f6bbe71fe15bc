"""Writes a kernel's PTX as a C++ function for the emulation: an instruction a statement, a register a variable.

What an instruction computes stands in ptx.h, as a function of the same name or one near it; this file knows which
instructions there are, which types they take and how their operands are read.
"""

import re

from ptx import BYTES, Label, PtxError, Scope, Statement

TYPES = {"pred": "bool", "b8": "uint8_t", "u8": "uint8_t", "s8": "int8_t", "b16": "uint16_t", "u16": "uint16_t",
         "s16": "int16_t", "b32": "uint32_t", "u32": "uint32_t", "s32": "int32_t", "f32": "float", "b64": "uint64_t",
         "u64": "uint64_t", "s64": "int64_t", "f64": "double"}

SPECIAL = {"%laneid": "det_emu::self->lane", "WARP_SZ": "32u"}
for _axis in "xyz":
    SPECIAL[f"%tid.{_axis}"] = f"det_emu::self->index.{_axis}"
    SPECIAL[f"%ctaid.{_axis}"] = f"det_emu::block_index.{_axis}"
    SPECIAL[f"%ntid.{_axis}"] = f"det_emu::block_size.{_axis}"
    SPECIAL[f"%nctaid.{_axis}"] = f"det_emu::grid_size.{_axis}"

# Where shared memory begins, and the bytes that nobody owns between two arrays: a step beyond the end is found there.
SHARED_BEGIN, SHARED_GAP, SHARED_ALIGN = 1024, 64, 16

# Instructions that only compute: what stands before the type, the types, the function in ptx.h, and the sources' types (T: the
# instruction's own).
SIGNED, UNSIGNED, BITS, FLOATS = "s16 s32 s64", "u16 u32 u64", "b16 b32 b64", "f32 f64"
INTEGERS = f"{SIGNED} {UNSIGNED}"
COMPUTING = [
    ("add", f"{INTEGERS} {FLOATS}", "add", "T T"),
    ("add.rn", FLOATS, "add", "T T"),
    ("add.rz", "f32", "add_towards_zero", "T T"),
    ("sub", f"{INTEGERS} {FLOATS}", "subtract", "T T"),
    ("sub.rn", FLOATS, "subtract", "T T"),
    ("mul", FLOATS, "multiply", "T T"),
    ("mul.rn", FLOATS, "multiply", "T T"),
    ("mul.lo", INTEGERS, "multiply", "T T"),
    ("mul.wide", "s16 u16 s32 u32", "multiply_wide", "T T"),
    ("mad.lo", INTEGERS, "multiply_add", "T T T"),
    ("fma.rn", FLOATS, "fused", "T T T"),
    ("fma.rm", "f32", "fused_downwards", "T T T"),
    ("div", INTEGERS, "divide", "T T"),
    ("rem", INTEGERS, "remainder", "T T"),
    ("div.rn", FLOATS, "divide", "T T"),
    ("div.full", "f32", "approximate_quotient", "T T"),
    ("div.approx", "f32", "approximate_quotient", "T T"),
    ("rcp.rn", FLOATS, "reciprocal", "T"),
    ("rcp.approx", "f32", "approximate_reciprocal", "T"),
    ("rcp.approx.ftz", "f32", "flushing<approximate_reciprocal>", "T"),
    ("sqrt.rn", FLOATS, "square_root", "T"),
    ("sqrt.approx", "f32", "approximate_root", "T"),
    ("sqrt.approx.ftz", "f32", "flushing<approximate_root>", "T"),
    ("rsqrt.approx", "f32", "approximate_reciprocal_root", "T"),
    ("rsqrt.approx.ftz", "f32", "flushing<approximate_reciprocal_root>", "T"),
    ("ex2.approx", "f32", "approximate_exp2", "T"),
    ("ex2.approx.ftz", "f32", "flushing<approximate_exp2>", "T"),
    ("lg2.approx", "f32", "approximate_log2", "T"),
    ("lg2.approx.ftz", "f32", "flushing<approximate_log2>", "T"),
    ("sin.approx", "f32", "approximate_sin", "T"),
    ("sin.approx.ftz", "f32", "flushing<approximate_sin>", "T"),
    ("cos.approx", "f32", "approximate_cos", "T"),
    ("cos.approx.ftz", "f32", "flushing<approximate_cos>", "T"),
    ("min", f"{INTEGERS} {FLOATS}", "minimum", "T T"),
    ("max", f"{INTEGERS} {FLOATS}", "maximum", "T T"),
    ("min.NaN", "f32", "minimum_or_nan", "T T"),
    ("max.NaN", "f32", "maximum_or_nan", "T T"),
    ("abs", f"{SIGNED} {FLOATS}", "absolute", "T"),
    ("neg", f"{SIGNED} {FLOATS}", "negative", "T"),
    ("copysign", FLOATS, "with_sign_of", "T T"),
    ("and", f"pred {BITS}", "bits_and", "T T"),
    ("or", f"pred {BITS}", "bits_or", "T T"),
    ("xor", f"pred {BITS}", "bits_xor", "T T"),
    ("not", f"pred {BITS}", "bits_not", "T"),
    ("shl", BITS, "shift_left", "T u32"),
    ("shr", f"{BITS} {INTEGERS}", "shift_right", "T u32"),
    ("selp", f"{BITS} {INTEGERS} {FLOATS}", "select", "T T pred"),
    ("popc", "b32 b64", "ones", "T"),
    ("brev", "b32 b64", "reversed", "T"),
    ("bfind.shiftamt", "s32 u32 s64 u64", "find_shift", "T"),
    ("bfi", "b32 b64", "insert_bits", "T T u32 u32"),
    ("prmt", "b32", "permuted_bytes", "T T u32"),
    ("dp4a.s32", "s32", "dot_of_bytes", "T T T"),
]
FUNCTIONS = {f"{opcode}.{kind}": (kind, function, sources.split())
             for opcode, kinds, function, sources in COMPUTING for kind in kinds.split()}

COMPARISONS = {"eq": "equal", "ne": "unequal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
               "lo": "less", "ls": "less_equal", "hi": "greater", "hs": "greater_equal"}
# Of floats: true where an operand is NaN; those of COMPARISONS are false there.
UNORDERED = {"equ": "!unequal", "neu": "!equal", "ltu": "!greater_equal", "leu": "!greater", "gtu": "!less_equal",
             "geu": "!less", "num": "ordered", "nan": "!ordered"}

# Behind `ld` and `st`: what says something of caches, order and scope, and nothing here.
CACHING = re.compile(r"nc|ca|cg|cs|cv|wb|wt|lu|weak|volatile|relaxed|acquire|release|cta|gpu|sys|L1::\w+|L2::\w+")
ATOMICS = {"add": "s32 u32 u64", "max": "s32 u32 s64 u64", "min": "s32 u32 s64 u64", "and": "b32 b64", "or": "b32 b64",
           "xor": "b32 b64", "exch": "b32 b64", "cas": "b32 b64"}
SHUFFLES = {"idx": "index", "up": "up", "down": "down", "bfly": "exclusive"}
ROUNDINGS = {"rni": "nearest", "rzi": "zero", "rmi": "down", "rpi": "up"}


def rounded_up(number, step):
    return -(-number // step) * step


class KernelWriter:
    """The C++ of one kernel of `module`; `number` tells its functions from others of the same file."""

    def __init__(self, module, kernel, number):
        self.module = module
        self.kernel = kernel
        self.number = number
        self.line = kernel.line
        self.scopes = []
        self.used = []  # registers by name, a set for each open scope
        self.parameters = {}
        self.parameter_bytes = 0
        self.shared = {}
        self.products = {}  # registers that ptxas may fuse into a sum: {name: type}
        self.labels = set()
        self.targets = set()  # labels that something jumps to

    def fail(self, text):
        raise PtxError(self.module.path, self.line, text)

    # --- layout ---

    def lay_out_parameters(self):
        """Offsets as the host lays them out, {name: (offset, bytes)}."""
        for p in self.kernel.parameters:
            begin = rounded_up(self.parameter_bytes, p.align)
            self.parameters[p.name] = (begin, p.bytes)
            self.parameter_bytes = begin + p.bytes

    def lay_out_shared(self, text):
        """{name: offset} of the shared arrays that the kernel's text names; returns those arrays, dynamic memory last."""
        arrays = [v for v in self.kernel.shared if re.search(rf"(?<![\w$]){re.escape(v.name)}(?![\w$])", text)]
        arrays.sort(key=lambda v: v.bytes == 0)
        end = SHARED_BEGIN
        for v in arrays:
            self.shared[v.name] = rounded_up(end, max(v.align, SHARED_ALIGN))
            end = self.shared[v.name] + v.bytes + SHARED_GAP
        return arrays

    # --- operands ---

    def register(self, name):
        """The register's variable, or None where `name` is none."""
        for scope, used in zip(reversed(self.scopes), reversed(self.used)):
            if scope.type_of(name) is not None:
                used.add(name)
                return "reg_" + name[1:]
        return None

    def value(self, operand, kind):
        """The operand read as a value of the type."""
        if operand.startswith("!"):
            return "!" + self.value(operand[1:], kind)
        read = SPECIAL.get(operand) or self.register(operand)
        if read is None and operand in self.shared:
            read = f"{self.shared[operand]}u"
        if read is None and operand in self.parameters:
            read = f"{self.parameters[operand][0]}u"
        if read is None:
            float_bits = re.fullmatch(r"0([fFdD])([0-9A-Fa-f]{8}|[0-9A-Fa-f]{16})", operand)
            integer = re.fullmatch(r"-?(?:0x[0-9A-Fa-f]+|\d+)U?", operand)
            if float_bits is not None:
                read = f"0x{float_bits.group(2)}" + ("u" if float_bits.group(1) in "fF" else "ull")
            elif integer is not None:
                read = f"{operand.rstrip('U')}{'ull' if 'x' in operand else 'll'}"
                if kind == "f32":
                    read = f"(uint32_t){read}"
            else:
                self.fail(f"operand '{operand}' is not known")
        return f"as<{TYPES[kind]}>({read})"

    def put(self, operand, expression):
        """A statement that writes the register."""
        if operand == "_":
            return f"(void)({expression});"
        register = self.register(operand)
        if register is None:
            self.fail(f"'{operand}' is no register")
        return f"put({register}, {expression});"

    def address(self, operand):
        """The address that [base+offset] names."""
        match = re.fullmatch(r"\[([^+\]]+)(?:\+(-?\w+))?\]", operand)
        if match is None:
            self.fail(f"address '{operand}' is not known")
        base, offset = match.group(1), match.group(2) or "0"
        if base in self.shared:
            return f"{self.shared[base]}u + {offset}"
        register = self.register(base)
        if register is None:
            self.fail(f"address '{operand}' is not known")
        return f"address({register}, {offset})"

    def parameter(self, operand, size):
        """Where [name+offset] of `size` bytes lies, or [register+offset]."""
        match = re.fullmatch(r"\[([^+\]]+)(?:\+(\d+))?\]", operand)
        if match is None or match.group(1) not in self.parameters:
            return f"parameter_memory(parameters, {self.parameter_bytes}, {self.address(operand)}, {size})"
        begin, room = self.parameters[match.group(1)]
        offset = int(match.group(2) or "0")
        if offset + size > room:
            self.fail(f"'{operand}' are no {size} bytes of a parameter")
        return f"parameters + {begin + offset}"

    @staticmethod
    def members(operand):
        """"{%r1,%r2}" as a list, and one register as a list of one."""
        return operand.strip("{}").split(",")

    def here(self):
        return f"here({self.line}); "

    @property
    def meeting(self):
        """Where threads meet, as the emulation wants to know it."""
        return f"file, {self.line}"

    # --- instructions ---

    def accessed(self, spaces, address, size, sharing):
        """The host's pointer to what `size` bytes of an address space stand for, checked."""
        if "global" in spaces:
            return f"device_memory({address}, {size})"
        function = "shared_memory" if "shared" in spaces else "generic_memory"
        return f"{function}(shared_{self.number}, {address}, {size}, sharing::{sharing})"

    def memory_operand(self, parts, sharing):
        """Of ld and st: space, type and number of members, all other parts known to say nothing here."""
        parts = [p for p in parts if not CACHING.fullmatch(p)]
        spaces = [p for p in parts if p in ("global", "shared", "param", "shared::cta")]
        vector = next((int(p[1]) for p in parts if re.fullmatch(r"v[248]", p)), 1)
        kind = parts[-1] if parts else ""
        if kind not in TYPES or kind == "pred" or len(parts) != len(spaces) + (vector > 1) + 1:
            return None
        if "shared" in spaces and BYTES[kind] * vector < 4:
            self.fail("shared memory is checked by words of 4 bytes: this access is narrower")
        if "param" in spaces and sharing != "read":
            return None
        return ["shared" if s == "shared::cta" else s for s in spaces], kind, vector

    def ld(self, parts, operands):
        what = self.memory_operand(parts, "read")
        if what is None:
            return None
        spaces, kind, vector = what
        size, targets = BYTES[kind], self.members(operands[0])
        if len(targets) != vector:
            self.fail(f"{len(targets)} registers for {vector}")
        if "param" in spaces:
            where = self.parameter(operands[1], size * vector)
        else:
            where = self.accessed(spaces, self.address(operands[1]), size * vector, "read")
        loads = " ".join(self.put(t, f"loaded<{TYPES[kind]}>(from + {i * size})") for i, t in enumerate(targets))
        return f"{self.here()}const unsigned char *from = {where}; {loads}"

    def st(self, parts, operands):
        what = self.memory_operand(parts, "write")
        if what is None:
            return None
        spaces, kind, vector = what
        size, sources = BYTES[kind], self.members(operands[1])
        if len(sources) != vector:
            self.fail(f"{len(sources)} registers for {vector}")
        where = self.accessed(spaces, self.address(operands[0]), size * vector, "write")
        stores = " ".join(f"stored(to + {i * size}, {self.value(s, kind)});" for i, s in enumerate(sources))
        return f"{self.here()}unsigned char *to = {where}; {stores}"

    def atom(self, parts, operands):
        parts = [p for p in parts if not CACHING.fullmatch(p)]
        spaces = [p for p in parts if p in ("global", "shared")]
        operation, kind = parts[-2:] if len(parts) == len(spaces) + 2 else ("", "")
        if kind not in ATOMICS.get(operation, "").split():
            return None
        where = self.accessed(spaces, self.address(operands[1]), BYTES[kind], "atomic")
        sources = ", ".join(self.value(s, kind) for s in operands[2:])
        function = f"atomic_{operation}<{TYPES[kind]}>"
        return self.here() + self.put(operands[0], f"{function}({where}, {sources})")

    def red(self, parts, operands):
        return self.atom(parts, ["_", *operands])

    def mov(self, parts, operands):
        if len(parts) != 1 or parts[0] not in TYPES:
            return None
        kind = parts[0]
        target, source = operands
        if "{" not in target + source:
            return self.put(target, self.value(source, kind))
        packed = self.members(target if "{" in target else source)
        bits = BYTES[kind] * 8 // len(packed)
        if "{" in source:
            terms = " | ".join(f"(uint64_t){self.value(m, f'u{bits}')} << {i * bits}" for i, m in enumerate(packed))
            return self.put(target, f"(uint{BYTES[kind] * 8}_t)({terms})")
        whole = self.value(source, f"b{BYTES[kind] * 8}")
        parts_put = " ".join(self.put(m, f"(uint{bits}_t)(whole >> {i * bits})") for i, m in enumerate(packed))
        return f"const uint64_t whole = {whole}; {parts_put}"

    def cvta(self, parts, operands):
        """Between an address of a space and one of any memory: they differ for shared memory alone."""
        conversion, kind = ".".join(parts[:-1]), parts[-1]
        shift = {"to.global": "", "global": "", "to.shared": " - SHARED_WINDOW", "shared": " + SHARED_WINDOW"}.get(conversion)
        if shift is None or kind != "u64":
            return None
        return self.put(operands[0], self.value(operands[1], kind) + shift)

    def cvt(self, parts, operands):
        *how, to, source = parts
        if (how, to, source) == (["rn"], "bf16", "f32"):
            return self.put(operands[0], f"bf16_bits({self.value(operands[1], 'f32')})")
        if (how, to, source) == ([], "f32", "bf16"):
            return self.put(operands[0], f"as<float>((uint32_t){self.value(operands[1], 'u16')} << 16)")
        if to not in TYPES or source not in TYPES:
            return None
        value, floats = self.value(operands[1], source), (to[0] == "f", source[0] == "f")
        if floats == (False, False) and how == []:
            return self.put(operands[0], f"({TYPES[to]}){value}")
        if floats[0] and how == ([] if (to, source) == ("f64", "f32") else ["rn"]) and to != source:
            return self.put(operands[0], f"({TYPES[to]}){value}")
        rounding = ROUNDINGS.get(how[0]) if len(how) == 1 else None
        if floats == (False, True) and rounding:
            return self.put(operands[0], f"to_integer<{TYPES[to]}>({rounding}({value}))")
        if to == source == "f32" and how == ["sat"]:
            return self.put(operands[0], f"saturated({value})")
        if to == source and floats[0] and rounding:
            return self.put(operands[0], f"{rounding}({value})")
        return None

    def setp(self, parts, operands):
        comparison, *combined, kind = parts
        if kind not in TYPES or len(combined) > 1 or not set(combined) <= {"and", "or", "xor"}:
            return None
        function = COMPARISONS.get(comparison) or (UNORDERED.get(comparison) if kind[0] == "f" else None)
        if function is None:
            return None
        result = f"{function}({self.value(operands[1], kind)}, {self.value(operands[2], kind)})"
        other = self.value(operands[3], "pred") if combined else None
        targets = operands[0].split("|")
        puts = []
        for target, truth in zip(targets, ("truth", "!truth")):
            puts.append(self.put(target, f"bits_{combined[0]}<bool>({truth}, other)" if combined else truth))
        before = f"const bool truth = {result}; " + (f"const bool other = {other}; " if combined else "")
        return before + " ".join(puts)

    def bar(self, parts, operands):
        name = ".".join(parts)
        if name == "warp.sync":
            return (f"{self.here()}det_emu::warp_meet(det_emu::warp_operation::sync, {self.value(operands[0], 'u32')}, "
                    f"0, 0, 32, {self.meeting});")
        kinds = {"red.popc.u32": "count", "red.and.pred": "all", "red.or.pred": "any"}
        barrier = operands[0] if name == "sync" else operands[1] if len(operands) > 1 else ""
        if barrier != "0" or len(operands) != (1 if name == "sync" else 3):
            return None
        if name == "sync":
            return f"{self.here()}det_emu::sync_threads(det_emu::barrier::plain, 0, {self.meeting});"
        if name not in kinds:
            return None
        met = (f"det_emu::sync_threads(det_emu::barrier::{kinds[name]}, {self.value(operands[2], 'pred')}, "
               f"{self.meeting})")
        return self.here() + self.put(operands[0], f"(uint32_t){met}" if name == "red.popc.u32" else f"{met} != 0")

    def shfl(self, parts, operands):
        if len(parts) != 3 or parts[0] != "sync" or parts[1] not in SHUFFLES or parts[2] != "b32":
            return None
        targets = operands[0].split("|")
        lane, bounds, mask = (self.value(o, "u32") for o in operands[2:])
        shuffled = (f"shuffled(det_emu::warp_operation::{SHUFFLES[parts[1]]}, {mask}, {self.value(operands[1], 'u32')}, "
                    f"{lane}, {bounds}, {self.meeting})")
        puts = " ".join(self.put(t, f"got.{member}") for t, member in zip(targets, ("value", "inside")))
        return f"{self.here()}const shuffle got = {shuffled}; {puts}"

    def vote(self, parts, operands):
        votes = {"sync.ballot.b32": ("", ""), "sync.any.pred": ("", " != 0"), "sync.all.pred": ("!", " == 0")}
        if ".".join(parts) not in votes:
            return None
        negated, verdict = votes[".".join(parts)]
        ballot = (f"(uint32_t)det_emu::warp_meet(det_emu::warp_operation::ballot, {self.value(operands[2], 'u32')}, "
                  f"{negated}{self.value(operands[1], 'pred')}, 0, 32, {self.meeting})")
        return self.here() + self.put(operands[0], ballot + verdict)

    def bra(self, parts, operands):
        if parts not in ([], ["uni"]):
            return None
        if operands[0] not in self.labels:
            self.fail(f"there is no label '{operands[0]}'")
        return f"goto {self.label(operands[0])};"

    def ret(self, parts, _operands):
        return "return;" if parts == [] else None

    def exit(self, parts, operands):
        return self.ret(parts, operands)

    def trap(self, parts, _operands):
        return f'{self.here()}det_emu::fail("trap");' if parts == [] else None

    def membar(self, _parts, _operands):
        return ";"  # one thread runs at a time

    def fence(self, parts, operands):
        return self.membar(parts, operands)

    SPECIFIC = {"ld": ld, "st": st, "atom": atom, "red": red, "mov": mov, "cvta": cvta, "cvt": cvt, "setp": setp, "bar": bar,
                "barrier": bar, "shfl": shfl, "vote": vote, "bra": bra, "ret": ret, "exit": exit, "trap": trap,
                "membar": membar, "fence": fence}

    def computed(self, opcode, operands):
        """An instruction of COMPUTING."""
        kind, function, sources = FUNCTIONS[opcode]
        if len(operands) != len(sources) + 1:
            self.fail(f"{opcode} of {len(operands)} operands")
        values = ", ".join(self.value(o, kind if s == "T" else s) for o, s in zip(operands[1:], sources))
        divides = function in ("divide", "remainder") and kind[0] != "f"
        text = (self.here() if divides else "") + self.put(operands[0], f"{function}({values})")
        if opcode == f"mul.{kind}" and operands[0] in self.products:
            return self.product(opcode, operands)
        if opcode in (f"add.{kind}", f"sub.{kind}") and any(self.products.get(o) == kind for o in operands[1:]):
            return self.contracted(opcode, operands, text)
        return text

    # --- contraction: ptxas may fuse a product and a sum where neither says how to round ---

    def find_products(self, statements):
        """The registers that nothing writes but such products."""
        written = {}
        for s in statements:
            for target in re.split(r"[|{},]", s.operands[0]) if s.operands else []:
                written.setdefault(target, set()).add(s.opcode)
        products = {frozenset(["mul.f32"]): "f32", frozenset(["mul.f64"]): "f64"}
        self.products = {name: products[frozenset(o)] for name, o in written.items() if frozenset(o) in products}

    def product(self, opcode, operands):
        """The product, and its factors kept for a sum that takes it up."""
        kind, name = opcode.split(".")[1], operands[0][1:]
        left, right = (self.value(o, kind) for o in operands[1:])
        return f"left_{name} = {left}; right_{name} = {right}; {self.put(operands[0], f'multiply(left_{name}, right_{name})')}"

    def contracted(self, opcode, operands, apart):
        """The statement `apart` of a sum, or where DET_PTX_CONTRACT says so a fused one."""
        base, _, kind = opcode.partition(".")
        first = operands[1] in self.products
        name = operands[1 if first else 2][1:]
        other = self.value(operands[2 if first else 1], kind)
        left = f"negative(left_{name})" if base == "sub" and not first else f"left_{name}"
        term = f"negative({other})" if base == "sub" and first else other
        return f"if (contracting) {{ {self.put(operands[0], f'fused({left}, right_{name}, {term})')} }} else {{ {apart} }}"

    # --- any instruction ---

    def instruction(self, statement):
        self.line = statement.line
        base, *parts = statement.opcode.split(".")
        known = self.SPECIFIC.get(base)
        if statement.opcode in FUNCTIONS:
            text = self.computed(statement.opcode, statement.operands)
        else:
            try:
                text = known(self, parts, statement.operands) if known else None
            except (IndexError, ValueError):  # too few operands or parts
                text = None
        if text is None:
            self.fail(f"unknown instruction '{' '.join([statement.opcode, ', '.join(statement.operands)]).rstrip()}'")
        guard = ""
        if statement.guard:
            guard = f"if ({self.value(statement.guard, 'pred')}) "
        return f"{guard}{{ {text} }}"

    # --- the function ---

    @staticmethod
    def label(name):
        return name.replace("$", "")

    def scope(self, scope, indent):
        """The scope's C++: its registers that are used, then its items."""
        self.scopes.append(scope)
        self.used.append(set())
        lines = []
        for item in scope.items:
            if isinstance(item, Scope):
                lines += [indent + "{", *self.scope(item, indent + "    "), indent + "}"]
            elif isinstance(item, Label):
                if item.name in self.targets:
                    lines.append(f"{self.label(item.name)}:;")
            else:
                lines.append(indent + self.instruction(item))
        self.scopes.pop()
        by_type = {}
        for name in sorted(self.used.pop()):
            by_type.setdefault(TYPES[scope.type_of(name)], []).append(f"reg_{name[1:]}{{}}")
        return [f"{indent}{kind} {', '.join(names)};" for kind, names in by_type.items()] + lines

    def items(self, scope, kind):
        """All items of that kind, those of inner scopes too."""
        for item in scope.items:
            if isinstance(item, kind):
                yield item
            elif isinstance(item, Scope):
                yield from self.items(item, kind)

    def function(self, shown_name):
        """The kernel's C++, a list of lines; `shown_name(symbol)` is a symbol without its mangling."""
        statements = list(self.items(self.kernel.body, Statement))
        self.labels = {label.name for label in self.items(self.kernel.body, Label)}
        self.targets = {s.operands[0] for s in statements if s.opcode in ("bra", "bra.uni") and s.operands}
        self.find_products(statements)
        self.lay_out_parameters()
        arrays = self.lay_out_shared("\n".join(o for s in statements for o in s.operands))
        shared = ", ".join(f'{{"{shown_name(v.name).split("::")[-1]}", {self.shared[v.name]}, {v.bytes}}}' for v in arrays)
        return [f"static const shared_layout shared_{self.number} = {{{shared}}};",
                f"static void kernel_{self.number}(const unsigned char *parameters)",
                "{",
                f'    static const char file[] = "{self.module.path}";',
                "    det_emu::self->source_file = file;",
                "    (void)parameters;",
                *(f"    {TYPES[kind]} left_{name[1:]}{{}}, right_{name[1:]}{{}};" for name, kind in self.products.items()),
                *self.scope(self.kernel.body, "    "),
                "}"]

    @property
    def limits(self):
        """What the table of translations says of the kernel: architecture, bytes of parameters, threads of a block."""
        return f"{self.module.arch}, {self.parameter_bytes}, {self.kernel.most_threads}"
