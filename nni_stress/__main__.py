"""The command line: ``python -m nni_stress``.

A new subcommand is a module in nni_stress/cli/ and its name in COMMANDS. The module has

- HELP, one line about it;
- add_arguments(parser), which adds its arguments;
- run(options), which runs it, and returns or yields the lines to print. A ValueError or an OSError
  ends it with one line on stderr.

It imports what takes long, such as torch and NNI, only when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from .utils.messages import one_line
from .utils.standard_output import forget_reader

COMMANDS = ("register", "unregister", "init", "status", "inspect", "export")


def main(arguments: list[str] | None = None) -> None:
    """Run a subcommand.

    Parameters
    ----------
    arguments
        The arguments of the command line; by default, those of this process.

    Raises
    ------
    SystemExit
        If the subcommand fails, or there is none.

    Examples
    --------
    >>> main(["init", "setup.py"])
    Traceback (most recent call last):
    SystemExit: error: setup.py is not a folder
    """
    options = _parser().parse_args(arguments)
    try:
        for line in options.run(options):
            print(line, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has closed its end
        forget_reader()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {one_line(error)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nni_stress", description="Commands that go with nnictl."
    )
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="show the version of nni-stress"
    )
    subparsers = parser.add_subparsers(required=True, metavar="command")
    for name in COMMANDS:
        module = importlib.import_module(f".cli.{name}", __package__)
        subparser = subparsers.add_parser(name, help=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


class _ShowVersion(argparse.Action):
    """Shows the version; unlike argparse's own action, it looks it up only when asked to."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__

        print(f"nni-stress {__version__}")
        parser.exit()


if __name__ == "__main__":
    main()
