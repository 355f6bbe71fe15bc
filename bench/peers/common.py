"""What the scripts of bench/peers share: libdet's side of a race, the network as data, timing, tables."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, ".peers"))  # `make peers`; PYTHONPATH goes before it

import numpy as np  # noqa: E402


def arguments(description, **extra):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="libdet's programs")
    parser.add_argument("--scratch", default=os.path.join(ROOT, "build/bench"), help="folder for files")
    parser.add_argument("--json", help="writes the figures")
    for name, settings in extra.items():
        parser.add_argument("--" + name, **settings)
    options = parser.parse_args()
    os.makedirs(options.scratch, exist_ok=True)
    return options


class Partner:
    """libdet in a process of its own, which does on command what is timed (partner.h)."""

    def __init__(self, options, *words, threads, precision="f32"):
        command = ["taskset", "-c", cores(threads)] if threads else []
        command += [os.path.join(options.bin, "partner"), *map(str, words), str(threads), precision]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.device = self.answer()["device"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("partner ended: see its message above")
        return json.loads(line)

    def __call__(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cores(threads):
    """The first `threads` processors that this process may use, for taskset."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))


def processor():
    """What /proc/cpuinfo says of the first processor."""
    with open("/proc/cpuinfo") as file:
        facts = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in facts.items()}


def without_bf16():
    """Why this processor has no use for bf16, None where it multiplies in it."""
    if "avx512_bf16" in processor().get("flags", "").split():
        return None
    return "this processor has no avx512_bf16: libdet would widen to float32, slower than f32"


class Graph:
    """graph.json and params.bin of the partner."""

    def __init__(self, folder):
        with open(os.path.join(folder, "graph.json")) as file:
            self.__dict__.update(json.load(file))
        self.block = np.fromfile(os.path.join(folder, "params.bin"), np.float32)

    def param(self, index):
        p = self.params[index]
        return self.block[p["offset"]:p["offset"] + int(np.prod(p["shape"]))].reshape(p["shape"])

    def pads(self, op):
        """TensorFlow's SAME: rows above and below, columns left and right."""
        (h, w, _), (oh, ow, _) = self.tensors[op["in"]], self.tensors[op["out"]]
        out = []
        for size, made in ((h, oh), (w, ow)):
            total = max((made - 1) * op["stride"] + op["kernel"] - size, 0)
            out.append((total // 2, total - total // 2))
        return out


def milliseconds(body, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        body()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def race(runners, rounds, each):
    """Alternates: in every round each runner does `each` runs, the first of which only warms up. runners: name ->
    function(count) that returns milliseconds. Returns name -> all counted times."""
    times = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            time.sleep(0.02)  # the other's threads stop spinning
            times[name] += run(each + 1)[1:]
    return times


def show(title, times, ours="libdet"):
    """A table of medians; returns it as a dictionary with the ratio to the best peer."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    peers = {name: value for name, value in medians.items() if not name.startswith(("libdet", "det-"))} or {name: value for name, value in medians.items() if name != ours}
    best = min(peers, key=peers.get)
    print(f"\n{title}")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        ratio = "" if name.startswith(("libdet", "det-")) else f"   libdet is {value / medians[ours]:5.2f} x as fast"
        print(f"  {name:28s} {value:10.3f} ms{ratio}")
    return {"title": title, "median_ms": medians, "best_peer": best, "ratio_to_best": peers[best] / medians[ours]}


def finish(options, figures):
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)
