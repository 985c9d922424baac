"""Fixtures, and the rule about skipped tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator
from importlib.util import find_spec

import pytest

from runner.broker import EmbeddedBroker
from runner.execution.sandbox.confinement.kernel import Kernel
from runner.execution.sandbox.confinement.landlock import Landlock
from tests.chaos.world import can_mount
from tests.scripted_broker import ScriptedBroker
from tests.support import AUTH_TOKEN, ManualClock, has_large_pages

FEATURES: dict[str, tuple[Callable[[], bool], str]] = {
    "dot": (lambda: shutil.which("dot") is not None, "Graphviz's `dot` is not installed"),
    "proc": (lambda: os.path.isdir("/proc/self"), "there is no /proc to look at processes with"),  # noqa: PTH112
    "numpy": (lambda: find_spec("numpy") is not None, "numpy is not installed"),
    "pandas": (lambda: find_spec("pandas") is not None, "pandas is not installed"),
    "pydantic": (lambda: find_spec("pydantic") is not None, "pydantic is not installed"),
    "chromium": (lambda: shutil.which("chromium") is not None, "Debian's Chromium (the package chromium) is missing"),
    "landlock": (lambda: Landlock(Kernel()).abi > 0, "this kernel has no Landlock to stop the attacks"),
    "systemd-analyze": (lambda: shutil.which("systemd-analyze") is not None, "systemd is not installed"),
    "large pages": (has_large_pages, "Linux makes no large pages here: it takes 6.1 or later, on x86-64"),
    "ipv6": (lambda: os.path.exists("/proc/net/if_inet6"), "this machine has no IPv6"),  # noqa: PTH110
    "mount": (can_mount, "this user may not mount a small file system to fill"),
}
"""What a machine may lack, and how that is said."""

NO_SKIPS = "N8N_RUNNER_TESTS_NO_SKIPS"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        is_there, reason = FEATURES[marker.args[0]]
        if not is_there():
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be lacking, a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, which {NO_SKIPS} forbids: {report.longrepr}"
    return report


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedBroker]:
    """A listening broker. A test in which a runner broke the protocol has failed, whatever else it found."""
    async with EmbeddedBroker(AUTH_TOKEN) as listening:
        yield listening
    assert listening.violations == []


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is turned by hand."""
    return ManualClock()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedBroker]:
    """A broker that says what the test tells it to."""
    async with ScriptedBroker() as listening:
        yield listening
