"""Reads PTX, the text that nvcc makes of a kernel: modules, kernels, scopes, statements. Knows no instruction.

Grammar: NVIDIA's "Parallel Thread Execution ISA", as far as nvcc uses it for kernels without function calls. What is beyond that
is a PtxError that names file and line.
"""

import re
from dataclasses import dataclass, field

BYTES = {"pred": 1, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2, "b32": 4, "u32": 4,
         "s32": 4, "f32": 4, "b64": 8, "u64": 8, "s64": 8, "f64": 8}

TOKEN = re.compile(r'"[^"]*"|[\w$%.]+(?:::\w+)*|[^\s\w]')


class PtxError(Exception):
    """Something in a PTX file that cannot be translated; its text begins with file and line."""

    def __init__(self, path, line, text):
        super().__init__(f"{path}:{line}: {text}")


@dataclass
class Variable:
    """A kernel's parameter, or an array in shared memory. `bytes` 0: as much as the launch gives."""

    name: str
    bytes: int
    align: int


@dataclass
class Statement:
    """One instruction. `guard` is "", "%p1" or "!%p1"; operands are texts without blanks."""

    line: int
    guard: str
    opcode: str
    operands: list


@dataclass
class Label:
    name: str


@dataclass
class Scope:
    """What stands between { and }: registers of its own by name, and items: Statement, Label or Scope."""

    ranges: dict = field(default_factory=dict)  # "%r" of ".reg .b32 %r<5>": (type, 5)
    single: dict = field(default_factory=dict)  # "%p1" of ".reg .pred %p1": type
    items: list = field(default_factory=list)

    def type_of(self, register):
        """The register's type where this scope declares it, else None."""
        if register in self.single:
            return self.single[register]
        prefix = register.rstrip("0123456789")
        kind, count = self.ranges.get(prefix, (None, 0))
        number = register[len(prefix):]
        return kind if number and int(number) < count else None


@dataclass
class Kernel:
    """An entry point. `shared`: its own arrays and the module's."""

    name: str
    line: int
    parameters: list
    most_threads: int
    shared: list
    body: Scope


@dataclass
class Module:
    path: str
    arch: int
    kernels: list


class Reader:
    """A recursive descent over the tokens of one file."""

    def __init__(self, path, text):
        self.path = path
        # Comments, and the lines that tie instructions to the source's lines, leave their line ends behind.
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
        text = re.sub(r"//.*|^\s*\.(?:loc|file)\b.*", "", text, flags=re.M)
        self.tokens = [(match.group(), number) for number, line in enumerate(text.split("\n"), 1)
                       for match in TOKEN.finditer(line)]
        self.at = 0

    @property
    def line(self):
        return self.tokens[min(self.at, len(self.tokens) - 1)][1]

    def fail(self, text):
        raise PtxError(self.path, self.line, text)

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        if token == "" or (wanted is not None and token != wanted):
            self.fail(f"found '{token or 'the end'}', expected {wanted or 'more'}")
        self.at += 1
        return token

    def taken(self, wanted):
        """Steps over the token if it is there."""
        if self.peek() != wanted:
            return False
        self.at += 1
        return True

    def until(self, end):
        """The tokens before `end`, which is stepped over."""
        found = []
        while self.peek() != end:
            found.append(self.take())
        self.at += 1
        return found

    def number(self):
        token = self.take()
        try:
            return int(token, 0)
        except ValueError:
            self.fail(f"found '{token}', expected a number")

    def module(self):
        arch, shared, kernels = 0, [], []
        while self.peek():
            word = self.take()
            if word in (".version", ".address_size"):
                self.take()
            elif word == ".target":
                match = re.fullmatch(r"sm_(\d+)\w*", self.take())
                arch = int(match.group(1)) if match else self.fail("expected .target sm_NN")
            elif word in (".visible", ".weak"):
                pass
            elif word in (".shared", ".extern"):
                if word == ".extern":
                    self.take(".shared")
                shared.append(self.variable(";"))
            elif word == ".entry":
                kernels.append(self.kernel(shared))
            else:
                self.at -= 1
                self.fail(f"'{word}' outside a kernel is not known")
        if not kernels:
            self.fail("no kernel")
        return Module(self.path, arch, kernels)

    def variable(self, *ends):
        """`.align 8 .b8 name[24]` up to one of `ends`, which is stepped over but for a closing parenthesis."""
        align, kind = 0, None
        while self.peek().startswith("."):
            word = self.take()
            if word == ".align":
                align = self.number()
            elif word[1:] in BYTES:
                kind = word[1:]
            elif word == ".ptr":  # what the parameter points to
                while self.peek().startswith("."):
                    if self.take() == ".align":
                        self.number()
            else:
                self.fail(f"'{word}' of a variable is not known")
        if kind is None:
            self.fail(f"found '{self.peek()}', expected a type")
        name, count = self.take(), 1
        while self.taken("["):
            count = 0 if self.peek() == "]" else count * self.number()
            self.take("]")
        if self.peek() not in ends:
            self.fail(f"found '{self.peek()}', expected {' or '.join(ends)}")
        if self.peek() != ")":
            self.at += 1
        return Variable(name, count * BYTES[kind], align or BYTES[kind])

    def kernel(self, module_shared):
        line, name = self.line, self.take()
        parameters, most_threads = [], 0
        self.take("(")
        while not self.taken(")"):
            self.take(".param")
            parameters.append(self.variable(",", ")"))
        while self.peek() != "{":
            word = self.take()
            if word in (".maxntid", ".reqntid"):
                most_threads = self.number()
                while self.taken(","):
                    most_threads *= self.number()
            elif word in (".minnctapersm", ".maxnreg"):
                self.number()
            else:
                self.fail(f"'{word}' of a kernel is not known")
        shared = list(module_shared)
        return Kernel(name, line, parameters, most_threads, shared, self.scope(shared))

    def scope(self, shared):
        scope = Scope()
        self.take("{")
        while not self.taken("}"):
            word = self.peek()
            if word == "{":
                scope.items.append(self.scope(shared))
            elif word == ";":
                self.take()
            elif word == ".reg":
                self.take()
                self.registers(scope)
            elif word == ".shared":
                self.take()
                shared.append(self.variable(";"))
            elif word == ".pragma":
                self.until(";")
            elif word.startswith("."):
                self.fail(f"'{word}' in a kernel is not known")
            elif self.peek(1) == ":":
                scope.items.append(Label(self.take()))
                self.take(":")
            else:
                scope.items.append(self.statement())
        return scope

    def registers(self, scope):
        kind = self.take()[1:]
        if kind not in BYTES:
            self.fail(f"registers of type '{kind}' are not known")
        while True:
            name = self.take()
            if self.taken("<"):
                scope.ranges[name] = (kind, self.number())
                self.take(">")
            else:
                scope.single[name] = kind
            if self.taken(";"):
                return
            self.take(",")

    def statement(self):
        line, guard = self.line, ""
        if self.taken("@"):
            guard = "!" * self.taken("!") + self.take()
        opcode = self.take()
        operands, depth = [""], 0
        for token in self.until(";"):
            depth += (token in "{[(") - (token in "}])")
            if token == "," and depth == 0:
                operands.append("")
            else:
                operands[-1] += token
        return Statement(line, guard, opcode, [] if operands == [""] else operands)


def read(path):
    """The module in the file. Raises PtxError."""
    with open(path, encoding="utf-8") as file:
        return Reader(path, file.read()).module()
