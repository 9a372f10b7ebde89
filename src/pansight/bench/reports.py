"""A benchmark as JSON and as Markdown."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from pansight.bench.run import Benchmark, Row
from pansight.bench.stages import STAGES


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and worst."""
    return {
        "p50": round(float(np.percentile(values, 50)), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "max": round(max(values), 3),
    }


def threads_of(found: Benchmark) -> str:
    """How many threads it ran with, in words."""
    count = found.rows[0].threads
    return "1 thread" if count == 1 else f"{count} threads"


def as_json(found: Benchmark) -> dict[str, Any]:
    """Everything that was measured: machine, protocol, roofline, and `rows`."""
    return {
        "machine": found.machine,
        "protocol": found.protocol,
        "roofline": {
            "gmacs_per_second": round(found.roofline.macs_per_second / 1e9, 2),
            "gigabytes_per_second": round(found.roofline.bytes_per_second / 1e9, 2),
        },
        "rows": [_row(found, row) for row in found.rows],
    }


def _row(found: Benchmark, row: Row) -> dict[str, Any]:
    share = found.share_of_peak(row)
    return {
        "model": row.name,
        "engine": row.engine_name,
        "precision": row.precision,
        "size": list(row.size),
        "threads": row.threads,
        "device": row.subject.device,
        "random_weights": row.subject.random,
        "stages": {stage: quantiles(row.stage(stage)) for stage in STAGES},
        "total": quantiles(row.totals),
        "ratio": round(found.ratio(row), 4),
        "batch": row.batch,
        "images_per_second": round(row.throughput or 1000 / median(row.totals), 2),
        "start_up_seconds": None if row.start_up is None else round(row.start_up.seconds, 2),
        "peak_memory_mb": None if row.start_up is None else round(row.start_up.peak_memory_mb, 1),
        "macs": row.macs,
        "share_of_peak": None if share is None else round(share, 4),
        "pq": row.pq,
        "published": [
            {"pq": one.pq, "fps": one.fps, "hardware": one.hardware, "source": one.source}
            for one in row.figures
        ],
    }


def as_markdown(found: Benchmark) -> str:
    """Tables to read: ours, with the papers' figures for comparison, and how it was measured."""
    machine = found.machine
    lines = [
        f"# Latency, {machine['processor']}, {threads_of(found)}",
        "",
        "Milliseconds at batch 1, median of a run in which all rows take turns. `total` is the whole call: "
        "uint8 image in, panoptic map at the image's size out (preprocess + network + merge + map).",
        "",
        "| model | engine | precision | size | total p50 | p95 | max | ratio | decode | preprocess | network "
        "| merge | map | draw | images/s | start-up s | peak MB | GMACs | of peak | PQ |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found.rows:
        data = _row(found, row)
        cells = [
            data["model"] + (" (random weights)" if data["random_weights"] else ""),
            data["engine"],
            data["precision"],
            "x".join(map(str, data["size"])),
            *(f"{data['total'][name]:.1f}" for name in ("p50", "p95", "max")),
            f"{data['ratio']:.2f}",
            *(f"{data['stages'][stage]['p50']:.1f}" for stage in STAGES),
            f"{data['images_per_second']:.1f} @{data['batch']}",
            _shown(data["start_up_seconds"], "{:.1f}"),
            _shown(data["peak_memory_mb"], "{:.0f}"),
            _shown(None if data["macs"] is None else data["macs"] / 1e9, "{:.1f}"),
            _shown(data["share_of_peak"], "{:.0%}"),
            _shown(data["pq"], "{:.1f}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    published = [(row, figure) for row in found.rows for figure in row.figures]
    if published:
        lines += ["", "Published figures of the same models:", "", "| model | PQ | images/s | on | source |"]
        lines.append("|---|---|---|---|---|")
        seen = set()
        for row, figure in published:
            if (row.name, figure) not in seen:
                seen.add((row.name, figure))
                speed = _shown(figure.fps, "{:.1f}")
                lines.append(
                    f"| {row.name} | {figure.pq:.1f} | {speed} | {figure.hardware or '-'} | {figure.source} |"
                )
    protocol, roofline = found.protocol, found.roofline
    lines += [
        "",
        f"This machine in the same run: {roofline.macs_per_second / 1e9:.0f} GMAC/s (matrix product), "
        f"{roofline.bytes_per_second / 1e9:.1f} GB/s (copy); load {machine['load']} at the end, governor "
        f"{machine['governor'] or 'unknown'}; torch {machine['torch']}; {protocol['warm_up']} rounds of "
        f"warm-up, {protocol['runs']} measured.",
        "",
    ]
    return "\n".join(lines)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
