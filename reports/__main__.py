"""python -m reports: contests of pruners, and pages on them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from nni_stress.utils.messages import one_line

from .checkout import PACKAGE, RESULTS

# A contest's file without --task and with it.
_FILES = (
    Path(__file__).with_name("compare.yml"),
    Path(__file__).with_name("contest") / "own.yml",
)


def page(name: str) -> Path:
    """Write the report on a contest.

    Parameters
    ----------
    name
        The contest's folder, or the name of one under reports/results.

    Returns
    -------
    Path
        The HTML page.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such contest, or its file or its founder is wrong.
    """
    from .contest.records import collect
    from .contest.report.facts import compare
    from .contest.report.page import write_report

    folder = Path(name) if Path(name).is_dir() else RESULTS / name
    if not folder.is_dir():
        known = sorted(path.parent.name for path in RESULTS.glob("*/contest.yml"))
        raise FileNotFoundError(
            f"no results at {name}: neither a folder, nor one of {', '.join(known) or 'ours'}"
        )
    results = collect(folder)
    for problem in results.problems:
        print(f"warning: {problem}", file=sys.stderr)
    return write_report(compare(results), folder)


def contest(words: list[str]) -> Path:
    """Run a contest as the words of the command line say, and write its report.

    Returns
    -------
    Path
        The HTML page.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file or a record is wrong.
    """
    from .contest.file import begin
    from .contest.running import run_contest

    options = _contest_parser().parse_args(words)
    file = options.file or _FILES[options.task is not None]
    begin(file, options.folder, options.task, len(options.founder))
    failures = run_contest(options.folder, options.founder, lambda line: print(line, flush=True))
    for line in failures:
        print(f"warning: {line}", file=sys.stderr)
    return page(str(options.folder))


def _contest_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {PACKAGE} contest",
        description="Run whatever of a contest is not recorded yet, and report on it.",
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        help="the contest's file; default: reports/compare.yml, or with --task "
        "reports/contest/own.yml",
    )
    parser.add_argument(
        "--task", help="your own task, trial.py:make_task, in place of the file's task"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder for the records and the report"
    )
    parser.add_argument(
        "--founder",
        type=Path,
        nargs="+",
        default=[],
        help="files of the founders; default: trained by the task, once",
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports``; an error is one line and exit status 1."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=f"python -m {PACKAGE}", description=__doc__)
    parser.add_argument(
        "name",
        help="name of recorded results, as lenet5, or a contest's folder; or `contest`, to run one:"
        f" see `python -m {PACKAGE} contest --help`",
    )
    # So that other processes of the contest end then, too. nohup has SIGHUP ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        if words[:1] == ["contest"]:
            path = contest(words[1:])
        else:
            path = page(parser.parse_args(words).name)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted; all records are kept, and the same command resumes the contest")
    print(path)


if __name__ == "__main__":
    main()
