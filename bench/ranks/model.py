#!/usr/bin/env python3
"""The step time of N ranks on paper: the table of docs/distributed.md, or one for your own numbers.

  bench/ranks/model.py                                          the table
  bench/ranks/model.py --compute .12 --gbit 25 --latency 15     seconds a step of one rank alone; the link
"""
import argparse
import math

GRADIENT_BYTES = 2557860 * 4  # SSD MobileNetV2 FPNLite 320, one class: what is trained
MOVING_BYTES = 40256 * 4  # moving statistics of its 76 batch norms
BUCKETS = 10  # of 1 MB
BACKWARD = 0.6  # share of a step behind which bytes can hide
RANKS = (2, 8, 64, 256, 1024)
LINKS = (  # name, Gbit/s, latency and time a message takes a processor, microseconds
    ("1 Gbit/s, TCP", 1, 50, 10),
    ("10 Gbit/s, TCP", 10, 30, 8),
    ("100 Gbit/s, RDMA", 100, 2, 1),
)
COMPUTE = (0.4, 0.05)


def wire_seconds(ranks, size, buckets, gbit, latency_us, message_us):
    """Reduce-scatter and all-gather of `size` bytes in buckets: each rank sends a piece to each other one, twice."""
    if ranks == 1:
        return 0.0
    link = 2 * size * (ranks - 1) / ranks / (gbit * 1e9 / 8)
    return link + 2 * buckets * ((ranks - 1) * message_us + latency_us) * 1e-6


def step_seconds(ranks, compute, gbit, latency_us, message_us, wire_share=1.0):
    size = GRADIENT_BYTES * wire_share + MOVING_BYTES
    link = (gbit, latency_us, message_us)
    all_of_it = wire_seconds(ranks, size, BUCKETS, *link)
    last = wire_seconds(ranks, GRADIENT_BYTES * wire_share / BUCKETS, 1, *link)
    figures = math.ceil(math.log2(ranks)) * (latency_us + message_us) * 1e-6 if ranks > 1 else 0
    return compute + max(all_of_it - BACKWARD * compute, last) + figures


def row(name, compute, gbit, latency_us, message_us):
    cells = []
    for ranks in RANKS:
        seconds = step_seconds(ranks, compute, gbit, latency_us, message_us)
        cells.append(f"{seconds:.3f} s, {100 * compute / seconds:.0f} %")
    print(f"| {name} | {compute:g} s | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compute", type=float, help="seconds a step of one rank takes alone")
    parser.add_argument("--gbit", type=float, default=10, help="the link of a machine, Gbit/s (10)")
    parser.add_argument("--latency", type=float, default=30, help="microseconds (30)")
    parser.add_argument("--message", type=float, default=8, help="microseconds of a processor for each message (8)")
    a = parser.parse_args()
    print("| link | alone | " + " | ".join(f"{n} ranks" for n in RANKS) + " |")
    print("| --- | --- |" + " --- |" * len(RANKS))
    if a.compute is not None:
        row(f"{a.gbit:g} Gbit/s", a.compute, a.gbit, a.latency, a.message)
        return
    for name, gbit, latency, message in LINKS:
        for compute in COMPUTE:
            row(name, compute, gbit, latency, message)


if __name__ == "__main__":
    main()
