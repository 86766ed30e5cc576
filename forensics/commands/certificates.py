"""The certificate that signs a report, as commands are given it: a file or a token, and who puts a time on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forensics import sealing
from forensics.casefile import Case
from forensics.commands.secrets import secret
from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.rendering.signature import Credentials, Stamper

CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--certificate", help="Sign a copy of the report with this certificate and key: a PKCS#12 file.", metavar="FILE"
    ),
]
TokenModule = Annotated[
    Path | None, typer.Option("--pkcs11", help="Sign with a token: the module of its maker.", metavar="MODULE")
]
TokenLabel = Annotated[str, typer.Option("--token", help="The token's label.")]
CertificateLabel = Annotated[
    str, typer.Option("--certificate-label", help="The certificate's label on the token.", metavar="LABEL")
]
PasswordDescriptor = Annotated[
    int,
    typer.Option(
        "--certificate-password-fd",
        help="Read the password, or the token's PIN, from this file descriptor.",
        metavar="N",
    ),
]
AskPassword = Annotated[bool, typer.Option("--ask-certificate-password", help="Ask for it on the terminal.")]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where it is; false when none was named."""

    file: Path | None
    module: Path | None
    token: str
    label: str

    def __bool__(self) -> bool:
        return self.file is not None or self.module is not None

    def opened(self, descriptor: int, *, ask: bool) -> Credentials:
        """Open it before anything is rendered: what cannot be signed leaves nothing behind."""
        from forensics.rendering import signature  # noqa: PLC0415 - pyHanko is slow to come, and only this needs it

        if self.file is not None and self.module is not None:
            raise UsageError("a report is signed with a file or with a token", remedy="say one of the two")
        password = secret(descriptor, ask, "Password of the certificate: ")
        if self.file is not None:
            return signature.from_file(self.file, password)
        return signature.from_token(self.module or Path(), self.token, self.label, password)


def stamper(case: Case, url: str, roots: Path | None) -> Stamper | None:
    """Give who puts a time on the signature: the authority named, else the case's first; None without any."""
    from forensics.rendering import signature  # noqa: PLC0415 - as above

    kept = sealing.wanted(case)
    url = url or next(iter(kept.authorities), "")
    return signature.Stamper(url, roots or kept.roots) if url else None
