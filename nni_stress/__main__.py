"""python -m nni_stress: what there is to do beside nnictl."""

from __future__ import annotations

import argparse
import os
import sys

COMMANDS = []  # functions that add a subcommand: each sets `run`, which imports what it needs when it runs


def command(add):
    """Let a function add its subcommand to the command line."""
    COMMANDS.append(add)
    return add


@command
def register(commands) -> None:
    parser = commands.add_parser(
        "register", help="make this environment's nnictl know us: name: Stress, checks, 127.0.0.1"
    )
    parser.set_defaults(run=lambda options: _registration().register())


@command
def unregister(commands) -> None:
    parser = commands.add_parser("unregister", help="take back what register did")
    parser.set_defaults(run=lambda options: _registration().unregister())


@command
def init(commands) -> None:
    from .cli import init

    _add(commands, "init", "write a stress.yml, a search space and a trial to start from", init)


@command
def status(commands) -> None:
    from .cli import status

    _add(commands, "status", "a lineage as it stands, in the terminal and as a page", status)


@command
def export(commands) -> None:
    from .cli import export

    _add(
        commands,
        "export",
        "write the network of an offspring, with its record and an ONNX file",
        export,
    )


def _add(commands, name: str, help: str, module) -> None:
    parser = commands.add_parser(name, help=help)
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


def _registration():
    from .experiment import registration

    return registration


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m nni_stress", description="Beside nnictl.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    try:
        for line in options.run(options) or []:
            print(line, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever reads, as `head` does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
