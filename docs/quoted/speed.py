"""The benchmarks of speed and memory."""

from __future__ import annotations

from reports.markdown import markdown_table

from .records import bench, fixed, record


def training_steps() -> str:
    """A training step, in times of the same step without a pruner."""
    networks = list(bench("steps"))

    def row(label: str, part: str, kind: str) -> list[str]:
        return [
            label,
            *(fixed(bench(part)[network][kind]["ratio"], 2) for network in networks),
        ]

    return markdown_table(
        ["times the step without a pruner", *networks],
        [
            row("under stress (nested silence)", "steps", "nested silence"),
            row("in the wrappers of NNI's L1NormPruner", "steps", "L1NormPruner"),
            row("under stress, GPU", "gpu", "nested silence"),
            row("in the wrappers of NNI's L1NormPruner, GPU", "gpu", "L1NormPruner"),
        ],
    )


_SYNTHESIS = {
    "L1NormPruner and ModelSpeedup": "L1NormPruner and ModelSpeedup",
    "StressPruner": "StressPruner",
    "StressPruner, one budget for the network": "StressPruner, shared budget",
    "Torch-Pruning": "Torch-Pruning",
}


def synthesis() -> str:
    """Seconds and growth of memory for pruning half of a network and making it small."""
    networks = list(bench("synthesis"))

    def cells(network: str, kind: str) -> list[str]:
        found = bench("synthesis")[network]
        memory = found.get(f"{kind}, memory")
        seconds = (
            found[kind] if isinstance(found[kind], str) else f"{fixed(found[kind]['seconds'], 2)} s"
        )
        return [seconds, f"{fixed(memory['networks'], 1)}x" if memory else "not measured"]

    return markdown_table(
        ["", *(head for network in networks for head in (network, "memory"))],
        (
            [label, *(cell for network in networks for cell in cells(network, kind))]
            for label, kind in _SYNTHESIS.items()
        ),
    )


def growth() -> str:
    """Seconds and memory of the synthesis by size of the network."""
    return markdown_table(
        ["network", "parameters", "time", "memory"],
        (
            [
                name,
                f"{fixed(found['million_parameters'], 0)} million",
                f"{fixed(found['seconds'], 1)} s",
                f"{fixed(found['networks'], 1)}x",
            ]
            for name, found in bench("growth").items()
        ),
    )


def masking() -> str:
    """Time of an evolution beside NNI's AGPPruner with as many steps."""
    return markdown_table(
        ["", *bench("masking")],
        (
            [
                kind,
                *(
                    f"{fixed(found[kind]['seconds'], 1)} s ({fixed(found[kind]['ratio'], 2)})"
                    for found in bench("masking").values()
                ),
            ]
            for kind in next(iter(bench("masking").values()))
        ),
    )


_ENGINES = {
    "default format": "eager",
    "channels last": "channels last",
    "compiled": "compiled",
    "ONNX Runtime": "ONNX Runtime",
}


def engines() -> str:
    """How many times faster than their founders small networks are, by engine."""
    found = {
        "YOLOv2's survivor": bench("engines")["yolov2, batch 1"],
        "YOLOv2's survivor, batch of 32": bench("engines")["yolov2, batch 32"],
        "YOLOv2 at 33x, untrained": bench("thirty-three")["yolov2 at 33x, batch 1"],
        "AlexNet's survivor": bench("engines")["alexnet, batch 1"],
        "AlexNet's survivor, batch of 32": bench("engines")["alexnet, batch 32"],
    }
    return markdown_table(
        ["network", "fewer synapses", "fewer MACs", *_ENGINES],
        (
            [
                name,
                f"{fixed(one['synapses'], 1)}x",
                f"{fixed(one['ideal'], 1)}x",
                *(f"{fixed(one[engine]['faster'], 1)}x" for engine in _ENGINES.values()),
            ]
            for name, one in found.items()
        ),
    )


def layers() -> str:
    """Time of each kind of layer in YOLOv2's survivor, and how many times less it is."""
    kinds = ("convolution and linear layers", "all other layers")

    def cell(part: str, kind: str) -> str:
        found = bench("thirty-three")[part][kind]
        return f"{fixed(1000 * found['offspring'])} ms, {fixed(found['faster'], 1)}x less"

    parts = {
        "default format": "survivor, layers",
        "channels last": "survivor, layers, channels last",
    }
    return markdown_table(
        ["time in the survivor's layers", *kinds],
        ([label, *(cell(part, kind) for kind in kinds)] for label, part in parts.items()),
    )


_WAYS = {
    "channels last": "channels last",
    "compiled": "compiled",
    "compiled, channels last": "compiled, channels last",
    "pt2": "torch.export",
    "ONNX Runtime": "ONNX Runtime",
    "8-bit": "ONNX Runtime, 8-bit",
}


def device() -> str:
    """How many times faster other runtimes and formats make small networks."""
    return markdown_table(
        ["network", "default format", *_WAYS, "compiling"],
        (
            [
                name,
                f"{fixed(found['ways']['eager']['milliseconds'], 2)} ms",
                *(f"{fixed(found['ways'][way]['faster'], 1)}x" for way in _WAYS.values()),
                f"{fixed(found['ways']['compiled']['first_call_s'])} s",
            ]
            for name, found in bench("device").items()
        ),
    )


def records() -> str:
    """Milliseconds for each record, by the number of records."""
    return markdown_table(
        ["", "tuner", "`status --html`", "report of a contest"],
        (
            [
                name,
                *(
                    f"{fixed(found[key], 1)} ms"
                    for key in ("tuner_ms", "status_ms", "contest_report_ms")
                ),
            ]
            for name, found in bench("records").items()
        ),
    )


def tuner_cost() -> str:
    """What a suggestion costs with so many observations."""
    found = record("tuner_cost")
    chosen = {one["trials"]: one for one in reversed(found["history"])}
    return markdown_table(
        ["observations", "time of a suggestion", "memory of the process"],
        (
            [
                f"{trials:,}",
                f"{fixed(one['milliseconds_a_suggestion'], 1)} ms",
                f"{fixed(one['memory_megabytes'], 0)} MB",
            ]
            for trials, one in sorted(chosen.items())
        ),
    )
