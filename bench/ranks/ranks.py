#!/usr/bin/env python3
"""What training on several ranks costs, on one machine (bench/README.md). Use a machine with two processors and nothing else to do.

    make bench-ranks        bench/ranks/ranks.py [--bin build/release/bin] [--json FILE] [--quick]

scaling   det-train on the demo data: two ranks of one thread each against one process of two threads, the same pictures a step,
          in turns; one process in one batch, and in two that are accumulated, which is the same work
hidden    rank-steps: gradients in buckets, which are on their way while the rest is computed, against one bucket behind the
          backward pass, in float32 and bf16; what a rank waits for the other in a step
links     the same between two hosts, network namespaces with a link that carries so much (needs root and Open MPI)
latency   the same over a link on which bytes are on their way for some time (delayed_link.c), beside what model.py says of it"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import model

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOSTS = os.path.join(ROOT, "tests/ranks/hosts.sh")
SCALING_GOAL = 0.95
# tbf needs a bucket as large as what comes between two of its ticks.
LINKS = (("not throttled", None), ("10 Gbit/s", ("10gbit", "1250kb")), ("1 Gbit/s", ("1gbit", "128kb")))
LATENCIES_MS = (0.1, 1, 10)  # one way
MESSAGE_US = 10  # as the model's table for 1 Gbit/s
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def machine():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"processor": names[0] if names else platform.machine(), "processors": len(os.sched_getaffinity(0)),
            "system": platform.platform(), "load": os.getloadavg()[0], "time": time.strftime("%Y-%m-%d %H:%M:%S")}


def mpi(options):
    """What det-mpi.so is of, and the words that start two ranks."""
    facts = subprocess.run([os.path.join(options.bin, "det-info")], capture_output=True, text=True, check=True).stdout
    name = next((line.split(": ", 1)[1] for line in facts.splitlines() if line.startswith("several machines: ")), "no MPI")
    own = "mpirun.openmpi" if name.startswith("Open MPI") else "mpirun.mpich"
    launcher = next((path for path in (own, "mpirun") if shutil.which(path)), None)
    if name == "no MPI" or launcher is None:
        sys.exit("ranks.py: libdet was built without MPI, or there is no mpirun: nothing to measure")
    return name, facts.split("\n")[0], [launcher, *(["--oversubscribe"] if own == "mpirun.openmpi" else []), "-n", "2"]


def quietly(command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"ranks.py: {' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def step_times(options, launcher, words):
    """Milliseconds of the steps of a training behind the first ones."""
    folder, lines = os.path.join(options.scratch, "run"), os.path.join(options.scratch, "steps.jsonl")
    shutil.rmtree(folder, ignore_errors=True)
    config = os.path.join(options.scratch, "demo/models/demo/pipeline.config")
    quietly([*launcher, os.path.join(options.bin, "det-train"), "--pipeline_config_path", config, "--model_dir", folder, *words,
             "--num_train_steps", str(options.warm + options.steps), "--checkpoint_every_n", "0", "--log_every", "1", "--pictures_every",
             "0", "--nosummaries", "--recalibrate_images", "0", "--json", lines])
    with open(lines) as file:
        steps = [json.loads(line) for line in file]
    return [1e3 * step["seconds_per_step"] for step in steps if "seconds_per_step" in step][options.warm:]


def scaling(options, launcher):
    demo = os.path.join(options.scratch, "demo")
    if not os.path.exists(os.path.join(demo, "models/demo/pipeline.config")):
        quietly([os.path.join(options.bin, "det-demo-data"), demo, "--weights", os.path.join(ROOT, "data/vehicles.det")])
    sides = {
        "1 process, 2 threads, batch 8": ([], ["--threads", "2", "--batch_size", "8"]),
        "1 process, 2 threads, batch 4, accumulate 2": ([], ["--threads", "2", "--batch_size", "4", "--accumulate", "2"]),
        "2 ranks, 1 thread each, batch 8": (launcher, ["--threads", "1", "--batch_size", "8"]),
    }
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (start, words) in sides.items():
            times[name] += step_times(options, start, words)
    rows = [{"job": name, "step_ms": statistics.median(values), "steps": len(values)} for name, values in times.items()]
    ranks = rows[-1]["step_ms"]
    for row in rows[:-1]:
        row["efficiency of 2 ranks"] = row["step_ms"] / ranks
        row["goal"] = SCALING_GOAL
    return rows


def rank_steps(options, launcher):
    lines = quietly([*launcher, os.path.join(options.bin, "rank-steps"), "320", "4", str(options.steps), str(options.rounds), "1"])
    rows = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    for buckets, one in ((0, 1), (2, 3)):
        waits = rows[buckets]["wait_ms"], rows[one]["wait_ms"]
        rows[buckets]["hidden"] = 1 - waits[0] / waits[1] if waits[1] > 0 else None
    return rows


def with_hosts(name, measure):
    """measure(hosts) between two of them, or why that can not be."""
    if not name.startswith("Open MPI"):
        return [{"link": "all", "missing": "the hosts are made for Open MPI"}]
    hosts = f"dr{os.getpid()}"
    up = subprocess.run([HOSTS, "up", hosts], capture_output=True, text=True)
    if up.returncode != 0:
        return [{"link": "all", "missing": "no network namespaces can be made: " + up.stderr.strip().split("\n")[0]}]
    try:
        return measure(hosts)
    finally:
        subprocess.run([HOSTS, "down", hosts], check=True)


def links(options, hosts):
    rows = []
    for link, words in LINKS:
        shaped = subprocess.run([HOSTS, "shape", hosts, *words], capture_output=True, text=True) if words else None
        if shaped and shaped.returncode != 0:
            rows.append({"link": link, "missing": shaped.stderr.strip()})
        else:
            rows += [{"link": link, **row} for row in rank_steps(options, [HOSTS, "mpirun", hosts])]
    return rows


def delayed_link(options, hosts, ms, gbit):
    """The process that makes the link, or why there is none."""
    process = subprocess.Popen([os.path.join(options.bin, "delayed-link"), f"{hosts}-a", f"{hosts}-ta", f"{hosts}-b", f"{hosts}-tb",
                                str(ms * 1e3), str(gbit * 1e3)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        return None, process.communicate()[1].strip()
    subprocess.run([HOSTS, "address", hosts], check=True)
    return process, None


# What the link is like by itself: a byte there and back, the least of many, and as many bytes as go there in some time.
ANSWER = """
import socket
listener = socket.create_server(("10.78.0.2", 7800))
print("ready", flush=True)
there, _ = listener.accept()
there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(50):
    there.sendall(there.recv(1))
room = bytearray(1 << 20)
while there.recv_into(room):
    pass
there.sendall(b"x")
"""
ASK = """
import socket, time
there = socket.create_connection(("10.78.0.2", 7800))
there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
trips = []
for _ in range(50):
    begin = time.perf_counter()
    there.sendall(b"x")
    there.recv(1)
    trips.append(time.perf_counter() - begin)
sent, begin = 0, time.perf_counter()
while time.perf_counter() < begin + 2:
    there.sendall(bytes(1 << 20))
    sent += 1 << 20
there.shutdown(socket.SHUT_WR)
there.recv(1)
print(min(trips) * 1e3, sent * 8e-9 / (time.perf_counter() - begin))
"""


def link_itself(hosts):
    answers = subprocess.Popen([HOSTS, "on", hosts, "b", sys.executable, "-c", ANSWER], stdout=subprocess.PIPE, text=True)
    answers.stdout.readline()
    trip_ms, gbit = map(float, quietly([HOSTS, "on", hosts, "a", sys.executable, "-c", ASK]).split())
    answers.wait()
    return {"round_trip_ms": trip_ms, "carries_gbit": gbit}


def latency(options, hosts):
    """Steps over links with latency, beside what the model says of them."""
    there = [HOSTS, "mpirun", hosts]
    rows = [{"link": "not throttled", **row} for row in rank_steps(options, there)]
    compute = (rows[0]["step_ms"] - rows[0]["wait_ms"]) * 1e-3
    for gbit in (10, 1):
        for ms in LATENCIES_MS:
            link = f"{gbit} Gbit/s, {ms:g} ms"
            process, why = delayed_link(options, hosts, ms, gbit)
            if process is None:
                return rows + [{"link": link, "missing": why}]
            itself = link_itself(hosts)
            over = [*there, "--mca", "btl_tcp_if_include", "10.78.0.0/24"]
            for row in rank_steps(options, over):
                wire_share = 0.5 if "bf16" in row["gradients"] else 1
                said = model.step_seconds(2, compute, gbit, ms * 1e3, MESSAGE_US, wire_share, "one" not in row["gradients"])
                rows.append({"link": link, **itself, **row, "model_ms": said * 1e3})
            process.kill()
            process.wait()
    return rows


def show(title, rows):
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="libdet's programs")
    parser.add_argument("--scratch", default=os.path.join(ROOT, "build/bench/ranks"), help="folder for files")
    parser.add_argument("--json", help="writes the figures")
    parser.add_argument("--only", choices=("scaling", "hidden", "links", "latency"), help="this part alone")
    parser.add_argument("--rounds", type=int, default=5, help="of 30 steps, in turns (5)")
    parser.add_argument("--quick", action="store_true", help="one round of a few steps: whether it works, no figures")
    options = parser.parse_args()
    options.steps, options.warm = (4, 2) if options.quick else (30, 10)
    options.rounds = 1 if options.quick else options.rounds
    os.makedirs(options.scratch, exist_ok=True)
    name, libdet, launcher = mpi(options)
    results = {"machine": machine(), "versions": {"libdet": libdet, "mpi": name}}
    parts = {
        "scaling": ("scaling", lambda: scaling(options, launcher)),
        "hidden": ("behind the backward pass", lambda: rank_steps(options, launcher)),
        "links": ("between two hosts", lambda: with_hosts(name, lambda hosts: links(options, hosts))),
        "latency": ("over links with latency", lambda: with_hosts(name, lambda hosts: latency(options, hosts))),
    }
    for part, (title, measure) in parts.items():
        if options.only in (None, part):
            results[part] = measure()
            show(title, results[part])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
            file.write("\n")


main()
