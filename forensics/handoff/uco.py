"""The case as CASE/UCO JSON-LD, for other programs: who did what when, with what, to which exhibits.

CASE and UCO: caseontology.org, unifiedcyberontology.org. Names of things are made of the case's own UUID: the same case
gives the same graph. Where the extra `exchange` (case-utils) is installed, what was written is held against the
ontology before it is handed over.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from forensics.errors import StageFailed
from forensics.events import Action, Event, Thing
from forensics.model import JSON, Exhibit
from forensics.text import show

CONTEXT: Mapping[str, JSON] = {
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_SECONDS = 600
_DEEDS = frozenset({Action.SEALED, Action.HANDED_OFF, Action.ACCESSED, Action.TRANSFERRED, Action.DISPOSED})
Node = dict[str, JSON]


def write(
    path: Path, case: str, facts: Mapping[str, JSON], events: Sequence[Event], exhibits: Iterable[Exhibit]
) -> bool:
    """Write the graph of a case, and tell whether it was held against the ontology.

    Raises StageFailed when it was, and does not conform.
    """
    nodes = list(_Graph(uuid.UUID(case)).nodes(facts, events, list(exhibits)))
    document = {"@context": dict(CONTEXT), "@graph": nodes}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=True) + "\n", encoding="ascii")
    return _validated(path)


def _validated(path: Path) -> bool:
    if importlib.util.find_spec("case_utils") is None:
        return False
    command = [sys.executable, "-I", "-c", "from case_utils.case_validate import main; main()", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as late:
        raise StageFailed("the export could not be checked", where=path.name, why=f"{_SECONDS} s") from late
    if done.returncode != 0:
        words = show((done.stdout or done.stderr)[-600:])
        raise StageFailed("the export does not conform to CASE and UCO", where=path.name, why=words)
    return True


class _Graph:
    """Makes the nodes; each name is a UUID in the name space of the case."""

    def __init__(self, case: uuid.UUID) -> None:
        self._case = case

    def nodes(self, facts: Mapping[str, JSON], events: Sequence[Event], exhibits: list[Exhibit]) -> Iterator[Node]:
        people = dict.fromkeys(one.actor.name for one in events)
        tools = dict.fromkeys((one.tool.name, one.tool.version) for one in events)
        made = [
            *(self._node("uco-identity:Person", name, {"uco-core:name": show(name)}) for name in people),
            *(self._tool(name, version) for name, version in tools),
            *(self._file(one) for one in exhibits),
            *(self._record(one) for one in exhibits),
            *self._actions(events, {one.number for one in exhibits}),
        ]
        named: list[JSON] = [{"@id": one["@id"]} for one in made]
        about: Node = {
            "uco-core:name": show(str(facts["number"])),
            "uco-core:description": show(str(facts["title"])),
            "uco-core:object": named,
        }
        yield self._node("case-investigation:Investigation", "", about)
        yield from made

    def _id(self, kind: str, name: str) -> str:
        return f"urn:uuid:{uuid.uuid5(self._case, f'{kind}/{name}')}"

    def _node(self, kind: str, name: str, facts: Node) -> Node:
        return {"@id": self._id(kind, name), "@type": kind, **facts}

    def _to(self, kind: str, names: Iterable[str]) -> list[JSON]:
        return [{"@id": self._id(kind, name)} for name in names]

    def _tool(self, name: str, version: str) -> Node:
        return self._node(
            "uco-tool:Tool", f"{name} {version}", {"uco-core:name": show(name), "uco-tool:version": show(version)}
        )

    def _file(self, one: Exhibit) -> Node:
        size: JSON = {"@type": "xsd:integer", "@value": str(one.size)}
        digest = self._node(
            "uco-types:Hash",
            one.number,
            {
                "uco-types:hashMethod": "SHA256",
                "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": one.digest.value},
            },
        )
        named: Node = {"uco-observable:fileName": one.path.name, "uco-observable:sizeInBytes": size}
        content: Node = {"uco-observable:sizeInBytes": size, "uco-observable:hash": [digest]}
        facets: list[JSON] = [
            self._node("uco-observable:FileFacet", one.number, named),
            self._node("uco-observable:ContentDataFacet", one.number, content),
        ]
        return self._node("uco-observable:File", one.number, {"uco-core:hasFacet": facets})

    def _record(self, one: Exhibit) -> Node:
        facts: Node = {
            "case-investigation:exhibitNumber": one.number,
            "uco-core:description": show(one.title),
            "uco-core:object": self._to("uco-observable:File", [one.number]),
        }
        return self._node("case-investigation:ProvenanceRecord", one.number, facts)

    def _actions(self, events: Sequence[Event], known: set[str]) -> Iterator[Node]:
        """Give stages from their start to their end, and people's deeds at their moment."""
        begun: dict[tuple[str, str], Event] = {}
        for event in events:
            key = (event.target, event.stage)
            if event.action is Action.STAGE_STARTED:
                begun[key] = event
            elif event.action is Action.STAGE_ENDED and key in begun:
                yield self._action(begun.pop(key), event, f"{event.stage} of {event.target}", known)
            elif event.action in _DEEDS:
                yield self._action(event, event, str(event.action), known)

    def _action(self, start: Event, end: Event, name: str, known: set[str]) -> Node:
        facts: Node = {
            "uco-core:name": show(name),
            "uco-core:description": f"Ledger entries {start.sequence} to {end.sequence}: {end.outcome or 'done'}",
            "uco-action:startTime": {"@type": "xsd:dateTime", "@value": start.time},
            "uco-action:endTime": {"@type": "xsd:dateTime", "@value": end.time},
            "uco-action:performer": {"@id": self._id("uco-identity:Person", end.actor.name)},
            "uco-action:instrument": self._to("uco-tool:Tool", [f"{end.tool.name} {end.tool.version}"]),
        }
        for name_of, things in (("uco-action:object", start.materials), ("uco-action:result", end.products)):
            files = self._to("uco-observable:File", _numbers(things, known))
            facts |= {name_of: files} if files else {}
        return self._node("case-investigation:InvestigativeAction", str(start.sequence), facts)


def _numbers(things: Iterable[Thing], known: set[str]) -> list[str]:
    return [one.exhibit for one in things if one.exhibit in known]
