"""Patch of how NNI's tracer reads bytecode."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable
from types import CodeType, ModuleType
from typing import Any


def patch_bytecode(concrete_proxy: ModuleType) -> None:
    """Let a traced value see the instruction that uses it, as in ``if x.sum() > 0``.

    Defect (probably microsoft/nni#5738): since Python 3.11 there are inline caches, which NNI does
    not count, and the conditional jumps have new names. A forward that branches on a traced value
    fails with "IndexError: list index out of range".
    """
    if _sees_branches(concrete_proxy.ConcreteProxy):
        return
    concrete_proxy.ConcreteProxy.jump_opcodes = tuple(
        code
        for name, code in dis.opmap.items()
        if "JUMP" in name and ("IF_TRUE" in name or "IF_FALSE" in name)
    )
    concrete_proxy.dis = types.SimpleNamespace(  # type: ignore[attr-defined]
        **{**vars(dis), "get_instructions": _instructions_by_code_unit}
    )


def _sees_branches(proxy_class: Any) -> bool:
    def branch(value: Any) -> bool:
        len(())  # if calls have caches, NNI miscounts what follows them
        return True if value else False  # noqa: SIM210, a branch must be compiled

    try:
        return branch(proxy_class(None, True, object()))
    except Exception:
        return False


def _instructions_by_code_unit(code: CodeType) -> list[Any]:
    return _by_code_unit(dis.get_instructions(code), len(code.co_code) // 2)


def _by_code_unit(instructions: Iterable[Any], units: int) -> list[Any]:
    """Return the instruction for each two-byte unit of bytecode, to be indexed by `f_lasti // 2`.

    EXTENDED_ARG and TO_BOOL (Python 3.13) are represented by the instruction that they prepare.
    The inline caches of a call are represented by the call, because the frame of a caller may
    point to them. Those of a comparison are represented by the next instruction, because NNI looks
    for a jump there.
    """
    by_unit: list[Any] = [None] * units
    next_instruction = None
    for instruction in reversed([each for each in instructions if each.opname != "CACHE"]):
        start = instruction.offset // 2
        is_prefix = instruction.opname in ("EXTENDED_ARG", "TO_BOOL")
        shown = next_instruction if is_prefix else instruction
        cached = next_instruction if instruction.opname == "COMPARE_OP" else shown
        by_unit[start:units] = [shown] + [cached] * (units - start - 1)
        units = start
        next_instruction = shown
    return by_unit
