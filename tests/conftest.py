"""Fixtures that more than one test file uses, and what a skip is worth."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.chroot import IN_A_CHROOT

settings.register_profile("promises", deadline=None)  # no promise is about how long a busy machine takes
settings.load_profile("promises")

pytest_plugins = ["tests.sshd"]


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Tests are handed out a file at a time, and all of the lab's to one process.

    Two machines under emulation on two processors wait for each other's locks: each takes six times as long to boot.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "tests/lab" if file.startswith("tests/lab/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that have a lab: they take longest together."""
    items.sort(key=lambda item: item.path.parent.name != "lab")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skip as a failure in CI, but for what a chroot forbids: a test that always skips is gone."""
    report = yield
    if report.skipped and os.environ.get("CI") and IN_A_CHROOT not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure in CI: {report.longrepr}"
    return report
