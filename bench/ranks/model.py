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
WINDOW_BYTES = 2.3e6  # under way on a TCP connection, with Linux's settings (tcp_wmem): what a latency leaves of the link (delayed_link.c)
RANKS = (2, 8, 64, 256, 1024)
LINKS = (  # name, Gbit/s, latency and time a message takes a processor, microseconds
    ("1 Gbit/s, TCP", 1, 50, 10),
    ("10 Gbit/s, TCP", 10, 30, 8),
    ("100 Gbit/s, RDMA", 100, 2, 1),
)
COMPUTE = (0.4, 0.05)


def wire_seconds(ranks, size, buckets, gbit, latency_us, message_us):
    """Reduce-scatter and all-gather of `size` bytes in buckets: each rank sends a piece to each other one, twice. Buckets are under
    way at the same time, so that a latency is no time of the link."""
    window = (ranks - 1) * WINDOW_BYTES / (2 * latency_us * 1e-6)
    link = 2 * size * (ranks - 1) / ranks / min(gbit * 1e9 / 8, window)
    return link + 2 * buckets * (ranks - 1) * message_us * 1e-6


def step_seconds(ranks, compute, gbit, latency_us, message_us, wire_share=1.0, in_buckets=True):
    if ranks == 1:
        return compute
    size = GRADIENT_BYTES * wire_share + MOVING_BYTES
    all_of_it = wire_seconds(ranks, size, BUCKETS if in_buckets else 1, gbit, latency_us, message_us)
    last = wire_seconds(ranks, GRADIENT_BYTES * wire_share / BUCKETS, 1, gbit, latency_us, message_us)
    # The last bucket goes there and comes back; then all tell each other their figures.
    way_and_back = 2 * latency_us * 1e-6
    figures = math.ceil(math.log2(ranks)) * (latency_us + message_us) * 1e-6
    seen = max(all_of_it - BACKWARD * compute, last) if in_buckets else all_of_it
    return compute + seen + way_and_back + figures


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
