from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics.volatility import Ended, Job, Opened, Unusable, run
from forensics.volatility.messages import Limits
from tests.volatility import tiny

Running = Callable[..., list[Opened | Unusable | Ended]]

PLUGIN = '''
import datetime
import os
import time

from volatility3.framework import interfaces, renderers
from volatility3.framework.configuration import requirements


class {name}(interfaces.plugins.PluginInterface):
    """{name} of a test.

    More words."""

    _required_framework_version = (2, 0, 0)
    _version = (1, 0, 0)

    @classmethod
    def get_requirements(cls):
        return [requirements.ModuleRequirement(name="kernel", architectures=["Intel64"]){more}]

    def _generator(self):
{body}

    def run(self):
        return renderers.TreeGrid([("N", int), ("Word", str)], self._generator())
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plugin into a folder of the user's: `name.Name`."""

    def write(name: str, body: str, more: str = "", folder: str = "mine") -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
        (place / f"{name.lower()}.py").write_text(PLUGIN.format(name=name, body=lines, more=more))
        return place

    return write


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Runs plugins on the tiny image, and gives all that is said."""

    def work(*plugins: str, **changed: object) -> list[Opened | Unusable | Ended]:
        image = changed.pop("image", None) or tiny.image(tmp_path / "image.lime")
        table = changed.pop("table", None) or tiny.table(tmp_path / "table.json")
        limits = Limits(**changed.pop("limits", {}))  # type: ignore[arg-type]
        folders = (str(tmp_path / "mine"),) if (tmp_path / "mine").exists() else ()
        given: Any = changed.pop("arguments", {})
        rows = str(tmp_path / "rows")
        job = Job(str(image), str(table), rows, plugins, limits=limits, plugin_folders=folders, arguments=given)
        return list(run(job))

    return work
