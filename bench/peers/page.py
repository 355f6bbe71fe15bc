#!/usr/bin/env python3
"""The section "Results" of docs/performance.md from what `make races` measured: one table for each RESULTS.json, rows as they are in it.

    make performance-page      bench/peers/page.py docs/performance.md bench/results/races-*.json"""
import json
import sys

BEGIN, END = "<!-- results: made by bench/peers/page.py -->", "<!-- end of results -->"


def number(value, unit):
    if value is None:
        return ""
    return f"{value / 1e3:.2f} s" if unit == "ms" and value >= 1e4 else f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def section(path, results):
    machine, versions = results["machine"], results["versions"]
    wide = [flag for flag in ("avx2", "avx_vnni", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if flag in machine["flags"]]
    peers = ", ".join(f"{name} {version}" for name, version in versions.items() if version and name != "libdet")
    lines = [f"### {machine['processor']}, {machine['processors']} processors ({', '.join(wide) or 'none of AVX2, AVX-512'})", "",
             f"`{path}`, {machine['time']}, {versions['libdet'].split(',')[0]} against {peers}. The peer named is the fastest; a ratio above 1 is in libdet's favour.", "",
             "| job | peer | libdet | peer | ratio | goal | reached |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in results["rows"]:
        goal = "" if row["goal"] is None else number(row["goal"], "ms") if row["peer"] is None else f"{row['goal']:g}"
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
        lines.append(f"| {row['job']} | {row['peer'] or ''} | {number(row['libdet'], row['unit'])} | {number(row['other'], row['unit'])} | {ratio} | {goal} | {row['reached']} |")
    return "\n".join(lines) + "\n"


def main():
    page, *files = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    sections = []
    for path in files:
        with open(path, encoding="utf-8") as file:
            sections.append(section(path, json.load(file)))
    with open(page, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n" + "\n".join(sections) + END + after)


if __name__ == "__main__":
    main()
