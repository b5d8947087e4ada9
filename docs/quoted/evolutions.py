"""Recorded evolutions: the demo, AlexNet and YOLOv2."""

from __future__ import annotations

import yaml

from reports.markdown import markdown_table

from .records import RESULTS, record, text


def demo_runs() -> list[dict]:
    """The recorded runs of the demo, by seed."""
    return [record(f"demo/{path.stem}") for path in sorted((RESULTS / "demo").glob("*.json"))]


def demo() -> str:
    """Founder and last survivor of the demo for every recorded seed."""
    return markdown_table(
        ["seed", "generations", "synapses", "MACs", "efficiency", "validation", "test", "time"],
        (
            [
                str(run["seed"]),
                str(run["generations"]),
                _change(run, "synapses", ","),
                _change(run, "macs", ","),
                f"{run['efficiency']:.1f}x",
                _change(run, "validation", ".4f"),
                _change(run, "test", ".4f"),
                f"{run['seconds']:.0f} s",
            ]
            for run in demo_runs()
        ),
    )


def _change(run: dict, name: str, form: str) -> str:
    return f"{run['founder'][name]:{form}} to {run['survivor'][name]:{form}}"


def generations(name: str) -> str:
    """What the evolution printed, generation by generation."""
    return f"```text\n{text(f'{name}/generations.txt')}\n```"


def survivor(name: str) -> str:
    """Founder and last survivor of an evolution, and the time both took."""
    run, founder = record(f"{name}/summary"), record(f"{name}/founder")
    return markdown_table(
        ["", "founder", "last survivor", "ratio or difference"],
        [
            *(
                [
                    label,
                    f"{run['founder'][key]:,}",
                    f"{run['survivor'][key]:,}",
                    f"{_ratio(run, key):.1f}x fewer",
                ]
                for label, key in (("synapses (weights)", "synapses"), ("MACs", "macs"))
            ),
            *(
                [
                    f"{key} fidelity",
                    f"{run['founder'][key]:.4f}",
                    f"{run['survivor'][key]:.4f}",
                    f"{_gain(run, key):+.4f}",
                ]
                for key in ("validation", "test")
            ),
            ["time", f"{founder['seconds'] / 60:.0f} min", f"{run['seconds'] / 60:.0f} min", ""],
        ],
    )


def _ratio(run: dict, key: str) -> float:
    return run["founder"][key] / run["survivor"][key]


def _gain(run: dict, key: str) -> float:
    return run["survivor"][key] - run["founder"][key]


def precision() -> str:
    """Average precision of every class, of YOLOv2's founder and last survivor."""
    return f"```text\n{text('yolov2/precision.txt')}\n```"


def asked_of_yolov2() -> list[str]:
    """How many times fewer synapses and MACs the experiment of YOLOv2 asks for."""
    experiment = yaml.safe_load(
        (RESULTS.parents[1] / "trials" / "yolov2.yml").read_text(encoding="utf-8")
    )
    arguments = experiment["tuner"]["classArgs"]
    return [f"{arguments['target_efficiency']:g}", f"{1 / arguments['constraints']['macs']:.0f}"]
