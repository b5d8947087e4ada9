"""python -m nni_stress: what there is to do beside nnictl."""
from __future__ import annotations

import argparse
import sys

COMMANDS = []  # functions that add a subcommand: each sets `run`, which imports what it needs when it runs


def command(add):
    """Let a function add its subcommand to the command line."""
    COMMANDS.append(add)
    return add


@command
def register(commands) -> None:
    parser = commands.add_parser("register", help="make this environment's nnictl know us: name: Stress, checks, 127.0.0.1")
    parser.set_defaults(run=lambda options: _registration().register())


@command
def unregister(commands) -> None:
    parser = commands.add_parser("unregister", help="take back what register did")
    parser.set_defaults(run=lambda options: _registration().unregister())


def _registration():
    from . import registration

    return registration


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m nni_stress", description="Beside nnictl.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    try:
        for line in options.run(options) or []:
            print(line)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
