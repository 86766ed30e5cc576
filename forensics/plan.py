"""A plan: which engine, which collectors in which order, which plugins. Read from YAML and checked before any work.

name: triage
engine: auto
collectors:
  - processes
  - together:                 # on one clock
      - block_io: {seconds: 30}
      - iostat: {seconds: 30}
  - lynis
plugins:
  - linux.pslist.PsList
  - linux.vmaregexscan.VmaRegExScan: {pattern: "BEGIN [A-Z ]*PRIVATE KEY"}
plugin_folders: [/home/ann/plugins]
yara: rules                   # a folder beside this file
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from forensics.collectors import Chosen, CollectSettings, collectors
from forensics.errors import UsageError
from forensics.model import JSON
from forensics.text import show
from forensics.volatility import AskedPlugin

PLANS = files("forensics") / "plans"


def _named(value: object) -> object:
    """Let `name` and `name: {settings}` both stand for a choice."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
        ((name, settings),) = value.items()
        return {"name": name, "settings": settings or {}}
    return value


class Choice(BaseModel):
    """Something by name, with its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Together(BaseModel):
    """Collectors that run at the same time, on one clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    together: tuple[Annotated[Choice, BeforeValidator(_named)], ...] = Field(min_length=1)


def _step(value: object) -> object:
    return value if isinstance(value, Mapping) and "together" in value else {"together": [value]}


Step: TypeAlias = Annotated[Together, BeforeValidator(_step)]


class Plan(BaseModel):
    """What a run does: engine, collectors in order of volatility, plugins (none named: those that run by default)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    description: str = ""
    engine: str = "auto"
    collectors: tuple[Step, ...] = ()
    plugins: tuple[Annotated[Choice, BeforeValidator(_named)], ...] = ()
    plugin_folders: tuple[str, ...] = ()  # of the analyst's own plugins; as with yara, beside the plan's own file
    cluster: str = ""  # the address of a Dask scheduler whose workers see the case under the same path
    cluster_tls: str = ""  # a folder with ca.pem, cert.pem and key.pem
    yara: str = ""  # a folder of YARA rules; one that is not absolute stands beside the plan's own file

    @model_validator(mode="after")
    def _check(self) -> Plan:
        known = collectors()
        last, before = -1, ""
        seen: set[str] = set()
        for step in self.collectors:
            names = [choice.name for choice in step.together]
            for choice in step.together:
                _check_choice(choice, alone=len(names) == 1)
            if repeated := seen.intersection(names) or len(set(names)) != len(names):
                raise ValueError(f"collectors: {repeated if repeated is not True else names} stand twice")
            seen.update(names)
            first = min(known[name].volatility for name in names)
            if first < last:
                raise ValueError(
                    f"collectors: {names[0]} is lost sooner than {before} and has to come before it (RFC 3227, 2.1)"
                )
            last, before = max((known[name].volatility, name) for name in names)
        return self

    def with_yara(self, folder: Path) -> Plan:
        """Give the same plan with the YARA rules of this folder."""
        return self.model_copy(update={"yara": str(folder.absolute())})

    def with_cluster(self, address: str, tls: Path | None) -> Plan:
        """Give the same plan with its plugins run on a cluster."""
        return self.model_copy(update={"cluster": address, "cluster_tls": str(tls.absolute()) if tls else ""})

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the analyst's own plugins; UsageError when one is not there."""
        found = tuple(Path(one).expanduser().absolute() for one in self.plugin_folders)
        for one in found:
            if not one.is_dir():
                raise UsageError(
                    "the plan's plugin folder is not there", where=show(str(one)), remedy="correct the plan"
                )
        return found

    @property
    def analysis(self) -> tuple[AskedPlugin, ...]:
        """The plugins as the stage takes them; what is asked for more than once has a name of its own each time."""
        seen: Counter[str] = Counter()
        asked = []
        for choice in self.plugins:
            if not choice.settings and seen[choice.name]:
                continue
            seen[choice.name] += 1
            item = choice.name if seen[choice.name] == 1 else f"{choice.name}~{seen[choice.name]}"
            asked.append(AskedPlugin(item, choice.settings))
        return tuple(asked)

    @property
    def collection(self) -> CollectSettings:
        """The collectors as the stage takes them."""
        return CollectSettings(
            tuple(tuple(Chosen(choice.name, choice.settings) for choice in step.together) for step in self.collectors)
        )


def _check_choice(choice: Choice, *, alone: bool) -> None:
    collector = collectors().get(choice.name)
    if collector is None:
        raise ValueError(f"collectors: there is no {choice.name!r}; there are {', '.join(collectors())}")
    if not (alone or collector.together):
        raise ValueError(f"collectors: {choice.name} cannot run together with others")
    settings_of(choice.name, choice.settings)


def settings_of(name: str, settings: Mapping[str, JSON]) -> Any:
    """Make a collector's settings; ValueError with the reason when they are not its settings."""
    kind = collectors()[name].settings
    unknown = set(settings) - set(kind.__dataclass_fields__)
    if unknown:
        raise ValueError(f"{name}: no such setting: {', '.join(sorted(unknown))}")
    made = TypeAdapter(kind).validate_python(dict(settings))
    for field in fields(made):
        value = getattr(made, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            raise ValueError(f"{name}: {field.name}: has to be more than 0")
    return made


def read(text: str, where: str) -> Plan:
    """Read a plan from YAML; UsageError says what is wrong and where."""
    try:
        return Plan.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise UsageError("the plan is not YAML", where=where, why=show(" ".join(str(error).split()))) from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'plan'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise UsageError(
            "the plan cannot be used", where=where, why=show(reasons), remedy="correct the plan"
        ) from error


def load(name: str) -> Plan:
    """Find a plan: a name of one that comes with the program, or a path to a YAML file."""
    if name in names():
        return read((PLANS / f"{name}.yaml").read_text(encoding="utf-8"), name)
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            "there is no such plan", where=show(name), remedy=f"give one of {', '.join(names())}, or a YAML file"
        )
    plan, beside = read(path.read_text(encoding="utf-8"), str(path)), path.absolute().parent
    folders = tuple(str(beside / Path(one).expanduser()) for one in plan.plugin_folders)
    plan = plan.model_copy(update={"plugin_folders": folders})
    return plan.with_yara(beside / plan.yara) if plan.yara else plan


def names() -> tuple[str, ...]:
    """List the plans that come with the program."""
    return tuple(sorted(one.name.removesuffix(".yaml") for one in PLANS.iterdir() if one.name.endswith(".yaml")))
