"""A signed module is what the kernel's own sign-file makes, and openssl finds its signature good."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from forensics.errors import StageFailed
from forensics.lime import kmod, module_signing
from forensics.lime.module_signing import Signer
from forensics.ssh import Secret
from tests.kernel_module import make_module
from tests.known import RELEASE

WORD = "correct horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module, a key that is encrypted, one that is not, and a certificate of each."""
    made = tmp_path_factory.mktemp("signing")
    make_module(made, RELEASE, "lime.ko")
    for name, more in (("plain", ["-nodes"]), ("locked", ["-passout", f"pass:{WORD}"])):
        words = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-subj", f"/CN={name} key", "-days", "2"]
        keys = ["-keyout", str(made / f"{name}.key"), "-out", str(made / f"{name}.pem")]
        subprocess.run([*words, *more, *keys], check=True, capture_output=True)
    words = ["openssl", "x509", "-in", str(made / "plain.pem"), "-outform", "DER", "-out", str(made / "plain.der")]
    subprocess.run(words, check=True)
    return made


def taken_apart(path: Path) -> tuple[bytes, bytes]:
    """Give module and signature, as kernel/module_signature.c finds them."""
    data = path.read_bytes()
    assert data.endswith(b"~Module signature appended~\n")
    trailer = data[-28 - 12 : -28]
    *_, size = struct.unpack(">BBBBBBBBI", trailer)
    assert trailer[:8] == bytes([0, 0, 2, 0, 0, 0, 0, 0])
    return data[: -28 - 12 - size], data[-28 - 12 - size : -28 - 12]


def good(folder: Path, content: bytes, signature: bytes, certificate: str) -> bool:
    """Ask openssl whether this certificate's key signed this content."""
    (folder / "content").write_bytes(content)
    (folder / "signature").write_bytes(signature)
    words = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"]
    words += ["-noverify", "-nointern", "-certfile", certificate, "-out", "/dev/null"]
    return subprocess.run(words, cwd=folder, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("certificate", ["plain.pem", "plain.der"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_openssl_finds_the_signature_good(folder: Path, tmp_path: Path, certificate: str, algorithm: str) -> None:
    signer = Signer(folder / "plain.key", folder / certificate, hash=algorithm)
    said = module_signing.sign(folder / "lime.ko", tmp_path / "signed.ko", signer)
    content, signature = taken_apart(tmp_path / "signed.ko")
    assert content == (folder / "lime.ko").read_bytes()
    assert good(folder, content, signature, "plain.pem")
    assert not good(folder, content[:-1] + b"x", signature, "plain.pem")
    assert not good(folder, content, signature, "locked.pem")
    assert "CN=plain key" in said
    assert kmod.read(tmp_path / "signed.ko").signed


def test_a_locked_key_is_opened_with_its_passphrase_alone(folder: Path, tmp_path: Path) -> None:
    key, certificate = folder / "locked.key", folder / "locked.pem"
    module_signing.sign(folder / "lime.ko", tmp_path / "signed.ko", Signer(key, certificate, Secret(WORD)))
    assert good(folder, *taken_apart(tmp_path / "signed.ko"), "locked.pem")
    for wrong in (None, Secret("wrong")):
        with pytest.raises(StageFailed, match="could not be signed") as problem:
            module_signing.sign(folder / "lime.ko", tmp_path / "no.ko", Signer(key, certificate, wrong))
        assert "--module-passphrase-fd" in str(problem.value)
    assert not (tmp_path / "no.ko").exists()


def test_a_key_that_is_not_the_certificates_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StageFailed):
        module_signing.sign(folder / "lime.ko", tmp_path / "s.ko", Signer(folder / "plain.key", folder / "locked.pem"))
    assert not (tmp_path / "s.ko").exists()


def test_what_is_signed_is_not_signed_again(folder: Path, tmp_path: Path) -> None:
    signer = Signer(folder / "plain.key", folder / "plain.pem")
    module_signing.sign(folder / "lime.ko", tmp_path / "signed.ko", signer)
    with pytest.raises(StageFailed, match="signed already"):
        module_signing.sign(tmp_path / "signed.ko", tmp_path / "twice.ko", signer)


def test_the_hash_is_the_kernels_own() -> None:
    assert module_signing.hash_of({"CONFIG_MODULE_SIG_HASH": '"sha512"'}) == "sha512"
    assert module_signing.hash_of({"CONFIG_MODULE_SIG_HASH": '"md5"'}) == "sha256"
    assert module_signing.hash_of({}) == "sha256"
