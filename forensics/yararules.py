"""YARA rules from a folder: read, tried, and put into one file that stands for them in a case.

Every file of the folder and below it whose name ends in .yar or .yara is a set of rules of its own (a namespace). What
one includes from elsewhere is refused: only what stands in the folder is on record.
"""

from __future__ import annotations

import json
from pathlib import Path

import yara_x

from forensics import bundle
from forensics.bundle import Bundle
from forensics.errors import UsageError
from forensics.text import show

SUFFIXES = (".yar", ".yara")


def read(folder: Path) -> Bundle:
    """Read and try the rules of a folder; UsageError names file and line of what does not compile."""
    if not folder.is_dir():
        raise UsageError("the folder of YARA rules is not there", where=str(folder), remedy="--yara DIR")
    rules = bundle.read(folder, lambda path: path.suffix in SUFFIXES, "YARA rules")
    if not rules.files:
        raise UsageError("there are no YARA rules", where=str(folder), why=f"no file ends in {' or '.join(SUFFIXES)}")
    _try(rules)
    return rules


def _try(rules: Bundle) -> None:
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)
    for name, content in rules.files.items():
        where = str(rules.folder / name)
        compiler.new_namespace(name)
        try:
            compiler.add_source(content.decode("utf-8"), origin=name)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise UsageError("a YARA rule is no text in UTF-8", where=f"{where}, line {line}") from None
        except yara_x.CompileError:
            raise _wrong(where, compiler.errors()) from None


def _wrong(where: str, errors: object) -> UsageError:
    told = json.loads(json.dumps(errors))
    first = told[0] if isinstance(told, list) and told else {}
    labels = "; ".join(str(one.get("text", "")) for one in first.get("labels", []) if one.get("level") == "error")
    return UsageError(
        "a YARA rule does not compile",
        where=f"{where}, line {first.get('line', '?')}",
        why=show(": ".join(filter(None, (str(first.get("title", "")), labels))), 500),
        remedy="mend the rule, or take its file out of the folder",
    )
