"""A filter for system calls (seccomp), made of rules: a small program that the kernel runs before each call."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from runner.execution.sandbox.confinement.kernel import Buffer, Kernel
from runner.execution.sandbox.confinement.rules import ALL, OWN, Rule, Test
from runner.execution.sandbox.confinement.steps import Step
from runner.execution.sandbox.confinement.syscalls import AUDIT_NAMES, LAST_KNOWN

LOAD, IS_EQUAL, IS_GREATER, AND, RETURN = 0x20, 0x15, 0x25, 0x54, 0x06
"""The instructions: load a word of the call, compare with a constant and jump, mask, and say what is to be done."""

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where things are in what the kernel hands to a filter; arguments have 8 bytes, of which the first 4 are the lower."""

ALLOW = 0x7FFF_0000
ERROR = 0x0005_0000

SET_FILTER = 1
FOR_ALL_THREADS = 1
PRCTL_SET_SECCOMP, PRCTL_FILTER = 22, 2

HOLE = struct.Struct("=I")
"""Where the number of the process belongs."""

FARTHEST = 255
"""How far a conditional jump goes."""


class Instruction(NamedTuple):
    """One instruction: what to do, how far to jump if so and if not, and a constant."""

    code: int
    constant: int
    if_so: int = 0
    if_not: int = 0


class Program:
    """A filter that lacks nothing but the number of the process that it is for."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        """A filter; where a constant is OWN, the number is filled in later."""
        self.instructions = tuple(instructions)
        self._bytes = b"".join(
            struct.pack("=HBBI", code, so, no, constant & ALL) for code, constant, so, no in instructions
        )
        self.holes = [8 * index + 4 for index, each in enumerate(instructions) if each.constant == OWN]
        """Where the number of a process belongs, in bytes."""

    def bytes_for(self, process: int) -> bytes:
        """The program as the kernel takes it, for a process."""
        filled = bytearray(self._bytes)
        for hole in self.holes:
            HOLE.pack_into(filled, hole, process)
        return bytes(filled)


class LoadedProgram:
    """A filter where the kernel can be given it, with the header that says where."""

    def __init__(self, program: Program) -> None:
        """A filter in memory of its own, which stays where it is as long as this object lives."""
        self._program = Buffer(program.bytes_for(0))
        self._header = Buffer(struct.pack("@HP", len(program.instructions), self._program.address))
        self.fills = [partial(HOLE.pack_into, self._program.memory, hole) for hole in program.holes]
        """To be called with the number of the process that the filter is for, before that takes the step."""

    def installing(self, layer: str, kernel: Kernel, *, by_prctl: bool) -> Step:
        """What has every system call of this process go through the filter from then on, and those of its children.

        Parameters:
            by_prctl: for kernels that have no call of its own for this. It leaves out other threads.
        """
        if by_prctl:
            return Step(layer, kernel.prepared("prctl", PRCTL_SET_SECCOMP, PRCTL_FILTER, self._header.address))
        return Step(layer, kernel.prepared("seccomp", SET_FILTER, FOR_ALL_THREADS, self._header.address))


def assemble(kernel: Kernel, rules: Iterable[Rule]) -> Program:
    """The program that follows `rules` on an architecture. No two of them may be about the same call.

    Rules with tests come first, each as a block that is skipped unless the call is one of the rule's. The others are
    long lists of numbers with one answer, at the end.
    """
    known = [(rule, [kernel.number(name) for name in rule.calls]) for rule in rules]
    numbered = [(rule, [number for number in numbers if number is not None]) for rule, numbers in known]
    program = [
        Instruction(LOAD, ARCHITECTURE),
        Instruction(IS_EQUAL, AUDIT_NAMES[kernel.machine], if_so=1),
        _refuse(errno.EPERM),  # 32-bit calls, which have other numbers
        Instruction(LOAD, NUMBER),
        Instruction(IS_GREATER, LAST_KNOWN, if_not=1),  # x32 calls among them: they have a bit high up
        _refuse(errno.ENOSYS),
    ]
    lists: dict[int, list[int]] = {}
    for rule, numbers in numbered:
        if rule.unless or rule.when:
            program += _block(numbers, [*_body(rule)])
        else:
            lists.setdefault(rule.answer, []).extend(numbers)
    for answer, numbers in lists.items():
        program += _block(sorted(numbers), [_refuse(answer)])
    return Program([*program, Instruction(RETURN, ALLOW)])


def _refuse(answer: int) -> Instruction:
    return Instruction(RETURN, ERROR | answer)


def _block(numbers: Sequence[int], body: Sequence[Instruction]) -> list[Instruction]:
    """What to do if the call is one of some: a body that ends the program. It goes on behind it if not."""
    count = len(numbers)
    if not count:
        return []
    if max(count, len(body)) > FARTHEST:
        raise AssertionError("a conditional jump does not go that far")
    heads = [Instruction(IS_EQUAL, number, if_so=count - 1 - place) for place, number in enumerate(numbers)]
    heads[-1] = heads[-1]._replace(if_not=len(body))
    return [*heads, *body]


def _body(rule: Rule) -> Iterable[Instruction]:
    """Whether all tests of a rule hold, and the answer to either."""
    refuse, allow = _refuse(rule.answer), Instruction(RETURN, ALLOW)
    if_all, if_any_fails = (allow, refuse) if rule.unless else (refuse, allow)
    for test in rule.unless or rule.when:
        yield from _test(test)
        yield if_any_fails
    yield if_all


def _test(test: Test) -> Iterable[Instruction]:
    """Jump over the next instruction behind this if the test holds."""
    yield Instruction(LOAD, ARGUMENTS + 8 * test.argument)
    if test.mask != ALL:
        yield Instruction(AND, test.mask)
    count = len(test.values)
    for place, value in enumerate(test.values):
        yield Instruction(IS_EQUAL, value, if_so=count - place)
