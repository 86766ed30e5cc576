"""README.txt of a bag: the commands that check it, with programs that everybody has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.model import JSON
from forensics.text import show

_HEAD = """\
Bag {bag} of case {number}: {title}
Handed to {to}. Ledger head: {head} ({entries} entries).
{left}

HOW TO CHECK THIS BAG

Each command is run in this folder; none writes here. Check a copy, and get the ledger head above on another way than this
bag (by telephone, on paper): it is what ties the bag to what was done.

Everything at once, with coreutils, ssh-keygen, openssl and pdfsig alone; or with Python 3.11 alone (better take verify.py
from the program's own repository than from here):

    bash check.sh
    python3 verify.py . --head {head}

Both exit with 0 when all is as recorded, and else name what is not. By hand:

1. Every file is what the lists say. Nothing is printed when that is so.

    sha256sum --check --strict --quiet tagmanifest-sha256.txt
    sha512sum --check --strict --quiet tagmanifest-sha512.txt
    sha256sum --check --strict --quiet manifest-sha256.txt
    sha512sum --check --strict --quiet manifest-sha512.txt

2. Nothing is here that the lists do not name. The first command prints the files that are at most in one of the two; the
   second shows what stands beside data/, which tagmanifest-sha256.txt has to name (but for the two tagmanifest files).

    bash -O globstar -O dotglob -c 'comm -3 <(printf "%s\\n" data/** | while read -r f; do [ -d "$f" ] || echo "$f"; done | sort) <(cut -c67- manifest-sha256.txt | sort)'
    ls -A

3. The ledger: every line carries the digest of its own bytes, and the digest of the line before. This prints the digest of
   the last line's own bytes, which has to be the ledger head above; check.sh does the same for each line.

    tail -n 1 data/{number}/custody.jsonl | tr -d '\\n' | head -c -84 | sha256sum

4. The exhibits have the digests that the ledger has. The lines that it prints end with OK{left_short}.

    sed -n 's/.*"action":"exhibit entered".*"products":\\[{{"exhibit":"[^"]*","digest":"sha256:\\([0-9a-f]*\\)".*"path":"\\(exhibits\\/[^"]*\\)".*/\\1  data\\/{number}\\/\\2/p' data/{number}/custody.jsonl | sha256sum --check{ignore}
"""
_SIGNATURES = """
{step}. Signatures. Compare the keys in data/allowed_signers with those that the people give you themselves
   (ssh-keygen -lf data/allowed_signers shows their fingerprints).

{commands}
"""
_STAMPS = """
{step}. Time stamps (RFC 3161). Take the authority's certificates from itself where you can.

{commands}
"""
_REPORT = """
{step}. The report is as of ledger entry {as_of}, which its cover names with the digest {as_of_head}.
   Its digest stands in the ledger. A PDF that was signed is signed as a whole: "Signature is Valid" and "Total document signed".

{commands}
"""
_RECEIPT = """
HOW TO ACKNOWLEDGE IT

Once it is checked, sign a receipt with your own SSH key, and send receipt.json, receipt.json.sig and the public key back.
Write your name and place between the quotation marks first:

    WHO='' WHERE=''
    printf '{{"format":"forensics-receipt-1","case":"{case}","head":"{head}","manifest":"sha256:%s","name":"%s","place":"%s","time":"%s"}}\\n' "$(sha256sum tagmanifest-sha256.txt | cut -c1-64)" "$WHO" "$WHERE" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > ../receipt.json
    ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n custody-receipt@forensics ../receipt.json

WHAT NO CHECK OF THIS BAG CAN EXCLUDE

That whoever made it wrote all of it anew, where neither a signature by a key that you trust, nor a time stamp, nor a ledger
head that reached you on another way says otherwise. Everything that came from the target is as the target reported it.
"""


def readme(facts: Mapping[str, JSON], report: Sequence[str], checks: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Write the README of a bag; `facts` are those of handoff.json, `checks` the seals' signatures and stamps."""
    withheld = facts["withheld"]
    names = ", ".join(str(one) for one in withheld) if isinstance(withheld, list) else ""
    told = {name: show(str(value)) for name, value in facts.items()}
    told["left"] = (
        f"LEFT OUT of it on record: {names}. Their digests stand in the ledger." if names else "Nothing is left out."
    )
    told["left_short"] = f", but for {names}" if names else ""
    told["ignore"] = " --ignore-missing" if names else ""
    parts = [_HEAD.format(**told)]
    inside = f"data/{told['number']}/seals"
    signed = [
        _signature("data/allowed_signers", told["principal"], "bag", "manifest-sha256.txt.sig", "manifest-sha256.txt")
    ]
    signed = signed if told["principal"] else []
    signed += [_signature(f"{inside}/allowed_signers", who, "seal", f"{inside}/{name}", f"{inside}/{_seal(name)}")
               for name, who in checks["signed"]]  # fmt: skip
    stamped = [f"    openssl ts -verify -data {inside}/{_seal(name)} -in {inside}/{name} -CAfile {inside}/{roots}"
               for name, roots in checks["stamped"]]  # fmt: skip
    commands = [
        f'    grep -c "$(sha256sum data/report/{one} | cut -c1-64)" data/{told["number"]}/custody.jsonl'
        for one in report
    ]
    commands += [f"    pdfsig -nocert data/report/{one}" for one in report if one.endswith(".pdf")]
    further = [one for one in ((_SIGNATURES, signed), (_STAMPS, stamped), (_REPORT, commands)) if one[1]]
    parts += [text.format(**told, step=5 + at, commands="\n".join(lines)) for at, (text, lines) in enumerate(further)]
    return "".join([*parts, _RECEIPT.format(**told)])


def _signature(signers: str, who: str, sort: str, signature: str, signed: str) -> str:
    return f"    ssh-keygen -Y verify -f {signers} -I {who} -n custody-{sort}@forensics -s {signature} < {signed}"


def _seal(name: str) -> str:
    """Name the seal that a signature or stamp stands beside: 0001.2.sig is of 0001.json."""
    return f"{name.partition('.')[0]}.json"


_REDACTED = """\
Bag {bag} of case {number}: {title}
Handed to {to}.

THIS IS A REDACTED VARIANT. Words and cells of the report and of its tables were replaced by rules; pictures, the ledger and
the exhibits are not in it. data/redactions.json says which rule was at work where and how often, and gives for each file the
digest of the exhibit that it was made of (before) and its own (after). data/seals, where it is here, holds a list of
the exhibits' digests that was signed and stamped.

HOW TO CHECK THIS BAG

Nothing is written or fetched. Both say that this variant holds neither ledger nor exhibits, and so checks neither:

    bash check.sh
    python3 verify.py .
{signature}"""


def redacted_readme(facts: Mapping[str, JSON]) -> str:
    """Write the README of a redacted variant."""
    told = {name: show(str(value)) for name, value in facts.items()}
    command = _signature(
        "data/allowed_signers", told["principal"], "bag", "manifest-sha256.txt.sig", "manifest-sha256.txt"
    )
    return _REDACTED.format(**told, signature=f"{command}\n" if told["principal"] else "")
