"""python -m reports: contests of pruners, and pages on them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def page(name: str) -> Path:
    """Write the report on a contest's folder, or on one of our own results by its name."""
    from .collect import collect
    from .compare import compare
    from .page import write_report

    folder = Path(name) if Path(name).is_dir() else RESULTS / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no results at {name}: neither a folder, nor one of {', '.join(_known()) or 'ours'}"
        )
    results = collect(folder)
    for problem in results.problems:
        print(f"warning: {problem}", file=sys.stderr)
    return write_report(compare(results), folder)


def _known() -> list[str]:
    return sorted(path.parent.name for path in RESULTS.glob("*/contest.yml"))


def contest(words: list[str]) -> Path:
    from nni_stress.experiment.launch import LaunchError

    from .contest import begin
    from .running import run_contest

    parser = argparse.ArgumentParser(
        prog="python -m reports contest",
        description="Run whatever of a contest is not recorded yet, and report on it.",
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=RESULTS.parent / "compare.yml",
        help="the contest's file; default: reports/compare.yml",
    )
    parser.add_argument("--task", help="your own, trial.py:make_task, in place of the file's")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where its records and its report are"
    )
    parser.add_argument(
        "--founder", type=Path, help="file of the founder; default: trained by the task, once"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="the first of so many ports as trials run at a time"
    )
    options = parser.parse_args(words)
    try:
        begin(options.file, options.folder, options.task)
        incomplete = run_contest(
            options.folder, options.port, options.founder, lambda line: print(line, flush=True)
        )
    except LaunchError as error:
        raise ValueError(str(error)) from None
    for cell in incomplete:
        print(f"warning: {cell.name} is incomplete, trials of it were lost", file=sys.stderr)
    return page(str(options.folder))


def main(arguments: list[str] | None = None) -> None:
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument(
        "name",
        help="name of recorded results, as lenet5, or a contest's folder; or `contest`, to run one: "
        "see `python -m reports contest --help`",
    )
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that NNI's managers are stopped then, too
    try:
        path = (
            contest(words[1:]) if words[:1] == ["contest"] else page(parser.parse_args(words).name)
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("interrupted; what is recorded stays, and the same command goes on")
    print(path)


if __name__ == "__main__":
    main()
