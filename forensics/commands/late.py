"""Commands that are imported when they are asked for: all of them together are 1.5 s of imports, `status` is 0.3 s."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

from typer import _click
from typer.core import TyperGroup
from typer.main import get_group_from_info
from typer.models import TyperInfo


class Late(TyperGroup):
    """A group that knows where its commands are; its help and a word that is none of them import them all."""

    late: ClassVar[Mapping[str, str]] = {}  # a command, or a group -> the module here whose `app` has it

    def list_commands(self, ctx: _click.Context) -> list[str]:
        """Give the names of all, imported or not."""
        return list(dict.fromkeys([*super().list_commands(ctx), *self.late]))

    def get_command(self, ctx: _click.Context, cmd_name: str) -> _click.Command | None:
        """Give a command, and import it for that; None where there is none of that name."""
        names = [cmd_name] if cmd_name in self.list_commands(ctx) else self.late  # all: the nearest is suggested
        for name in names:
            if name not in self.commands:
                self.commands[name] = self._imported(name)
        return super().get_command(ctx, cmd_name)

    def _imported(self, name: str) -> _click.Command:
        module = import_module(f"{__package__}.{self.late[name]}")
        known = get_group_from_info(
            TyperInfo(module.app),
            pretty_exceptions_short=False,
            suggest_commands=self.suggest_commands,
            rich_markup_mode=self.rich_markup_mode,
        )
        return known.commands[name]
