"""The stress study: cells are pairs, and its choices follow from validation data alone."""

import dataclasses

import pytest
import torch
from nni_stress.trials.founders import train_founder

from nni_stress.trials import lenet5, resnet20, yolov2
from reports.stress_study import analysis, figure, running
from reports.stress_study.plan import ARMS, SUBJECTS, Cell, cells, pilot

TASKS = {
    "lenet5": lambda: lenet5.make_task("digits", founder_epochs=1),
    "resnet20": lambda: resnet20.make_task("digits", batch_size=64, founder_epochs=1, images=256),
    "yolov2": lambda: yolov2.make_task(size=64, width=0.125, scenes=48, founder_epochs=1),
}


@pytest.fixture(scope="module")
def founders(tmp_path_factory):
    """Folder of the founders, each trained where it is first needed."""
    return tmp_path_factory.mktemp("founders")


def record_of(founders, subject, resource, arm, **more):
    few = subject == "lenet5"  # 300 steps of another network take long, and are no other code
    own = dataclasses.replace(
        SUBJECTS[subject], task=TASKS[subject], steps=(5,), epochs=(1,), few=few
    )
    file = founders / f"{subject}.safetensors"
    train_founder(own.task(), file, quiet=True)
    return running.run_cell(Cell(subject, resource, arm, 1, 1), own, file, **more)


@pytest.mark.parametrize(
    ("subject", "resource", "arm"),
    [
        ("lenet5", "parameters", "wide"),
        ("lenet5", "macs", "synthesis first"),
        ("resnet20", "macs", "none"),
        pytest.param("yolov2", "parameters", "wide", marks=pytest.mark.slow),
    ],
)
def test_a_cell_keeps_to_its_budget_and_repeats(founders, subject, resource, arm):
    record = record_of(founders, subject, resource, arm)
    again = record_of(founders, subject, resource, arm)
    assert record["curve"] == again["curve"] and record["architecture"] == again["architecture"]
    wanted = SUBJECTS[subject].budgets[resource]
    assert wanted <= record["times_fewer"][resource] < 1.1 * wanted
    stale = [] if subject == "lenet5" else ["stale norms"]
    few = ["300 on 1 %"] if subject == "lenet5" else []
    assert list(record["curve"]) == [*stale, "0", "5", "1 epoch", *few]


def test_all_arms_see_the_same_batches(founders, monkeypatch):
    seen = []
    load = running.serialization.load

    def watched(file, make):
        network = load(file, make)
        network.register_forward_pre_hook(
            lambda module, args: seen[-1].append(args[0].sum().item()) if module.training else None
        )
        return network

    monkeypatch.setattr(running.serialization, "load", watched)
    monkeypatch.setattr(running, "_curve", lambda *args: {})
    for arm in ("none", "narrow", "wide"):
        seen.append([])
        record_of(founders, "lenet5", "macs", arm)
    assert len(seen[0]) > 10 and seen[0] == seen[1] == seen[2]


def test_the_pilot_tries_all_rates(founders):
    record = record_of(founders, "lenet5", "macs", "none", rates=(1e-3, 1e-1))
    assert list(record["curves"]) == ["0.001", "0.1"]
    first, second = record["curves"].values()
    assert first["0"] == second["0"] and first["5"] != second["5"]


def planted(gains, split="validation"):
    """Records of one network and budget, in which arms gain so much over no stress, in points."""
    generator = torch.Generator().manual_seed(0)
    records = []
    for founder in (1, 2, 3):
        for seed in (1, 2, 3, 4):
            base = 0.5 + 0.2 * float(torch.rand((), generator=generator))
            for arm, gain in {"none": 0.0, **gains}.items():
                noise = 0.01 * float(torch.randn((), generator=generator))
                other = {"validation": 0.1, "test": 0.1}
                curve = {"10": {**other, split: base + gain / 100 + noise * bool(gain)}}
                cell = Cell("lenet5", "macs", arm, founder, seed)
                records.append({**cell._asdict(), "curve": curve})
    return records


def test_the_choice_follows_validation_and_the_table_quotes_test():
    records = planted({"narrow": 1.0, "wide": 4.0, "silence": -2.0})
    assert analysis.best_arm(records, list(ARMS)[1:-1], ["10"]) == "wide"
    only_test = planted({"narrow": 1.0, "wide": 4.0}, split="test")
    assert analysis.best_arm(only_test, ["narrow", "wide"], ["10"]) == "narrow"  # all are equal
    found = analysis.difference(only_test, "wide", "10", "test")
    assert abs(found.mean - 4) < found.margin < 1.5 and found.p < 0.001 and found.pairs == 12
    text = analysis.table(only_test, "lenet5", "macs")
    assert f"({found.mean:+.1f} ± {found.margin:.1f})" in text and text.count("\n") == 4


def test_the_claim_is_judged_over_all_tables_together():
    """Of 27 comparisons under no difference, about one in twenty would be found without Holm."""
    records = planted({"wide": 4.0, **dict.fromkeys(list(ARMS)[5:], 0.0)})
    generator = torch.Generator().manual_seed(1)
    for one in records:
        noise = float(torch.randn((), generator=generator)) / 100
        one["curve"]["10"]["test"] = one["curve"]["10"]["validation"] + noise
    found = analysis.judged(records, "10")
    assert set(found) == {("lenet5", "macs", arm) for arm in ("wide", *list(ARMS)[5:])}
    alone = analysis.difference(records, "wide", "10", "test")
    assert alone.p < found["lenet5", "macs", "wide"].p < 0.001
    assert min(gain.p for (*_, arm), gain in found.items() if arm != "wide") > 0.02


def test_the_figure_shows_means_and_intervals(tmp_path):
    records = planted({"wide": 4.0})
    for one in records:
        one["curve"] = {"0": {"test": 0.5, "validation": 0.5}, **one["curve"]}
        one["curve"]["10"]["test"] = one["curve"]["10"]["validation"]
    points = figure.curve(records, "wide")
    assert [point.length for point in points] == ["0", "10"] and points[0].margin == 0
    assert abs(points[1].mean - analysis.mean(records, "wide", "10", "test")) < 1e-9
    figure.draw(records, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_plan_has_twelve_pairs_of_every_arm():
    assert len(set(cells())) == len(cells())
    for name in ("lenet5", "resnet20"):
        own = [cell for cell in cells() if cell.subject == name]
        assert len(own) == 2 * len(ARMS) * 12
    assert not set(pilot()) & set(cells())
