"""What a kernel means when it does not load a module, in insmod's words."""

from __future__ import annotations

_REFUSALS = (
    (
        ("Key was rejected", "Required key not available"),
        (
            "the module was refused for its signature: the kernel loads only modules signed with a key that it knows "
            "(module.sig_enforce, Secure Boot), and this one is unsigned, or signed with another"
        ),
        (
            "sign it with a key that the target trusts (--module-key KEY --module-certificate CERT), or take an engine "
            "that needs no module (--engine kcore)"
        ),
    ),
    (
        ("Operation not permitted", "Permission denied"),
        "its kernel is locked down or loads no more modules (kernel.modules_disabled), or root lacks CAP_SYS_MODULE",
        "see lockdown and modules_disabled in the survey, and take an engine that needs no module",
    ),
    (
        ("Invalid module format", "Exec format error"),
        "the module does not fit its kernel (vermagic, or the CRC of a symbol)",
        "build against the headers of exactly the running kernel: --headers DIR, and see the kernel's messages",
    ),
    (
        ("Unknown symbol",),
        "its kernel lacks a symbol that the module needs, or took a parameter for one",
        "build against the headers of exactly the running kernel, and see the kernel's messages",
    ),
    (("File exists",), "a module named lime is loaded already", "find out whose it is, and unload it with rmmod lime"),
    (("Address already in use",), "the port that was chosen is in use", "run again: another one is chosen"),
)


def explain(said: str) -> tuple[str, str]:
    """Give why, and what to do about it, for what insmod printed."""
    known = ((why, remedy) for marks, why, remedy in _REFUSALS if any(mark in said for mark in marks))
    return next(known, ("its kernel refused it", "see the kernel's messages in the acquisition record"))
