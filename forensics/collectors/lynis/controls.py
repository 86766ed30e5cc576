"""Which controls a test of Lynis has to do with: a short mapping of our own.

Lynis's open edition brings none. Neither Lynis nor NIST nor ISO has seen this one: it says where to look in a standard,
and never that a control is met or broken. On 2026-11-26 every number was held against its title: those of NIST in
usnistgov/oscal-content (SP 800-53 Rev. 5.1.1, the resolved HIGH baseline; SC-45, which is not in it, in FedRAMP's and
OSCAL's texts of the same revision), those of ISO in two public lists of Annex A's 93 titles that agree (one of them
table B.1 of ISO/IEC 27002:2022, retold); the standard itself was not seen. Which test belongs to which control we judge
by title against the text of Lynis's tests database.
"""

from __future__ import annotations

from collections.abc import Mapping

LABEL = "controls, by this program's own mapping (NIST SP 800-53 Rev. 5; ISO/IEC 27001:2022, Annex A: A.…)"
_MAPPED = """
ACCT-9622 AU-12 A.8.15
ACCT-9626 AU-12 A.8.15
ACCT-9628 AU-2 AU-12 A.8.15
ACCT-9630 AU-2 AU-12 A.8.15
AUTH-9204 AC-6 A.8.2
AUTH-9208 IA-4 A.5.16
AUTH-9222 IA-4 A.5.16
AUTH-9226 IA-4 A.5.16
AUTH-9229 IA-5 A.5.17
AUTH-9230 IA-5 A.5.17
AUTH-9252 AC-6 A.8.2
AUTH-9262 IA-5 A.5.17
AUTH-9282 IA-5 A.5.17
AUTH-9283 IA-5 A.5.17
AUTH-9284 AC-2 A.5.18
AUTH-9286 IA-5 A.5.17
AUTH-9288 IA-5 A.5.17
AUTH-9308 AC-3 A.8.5
AUTH-9328 AC-6 A.8.3
AUTH-9408 AC-7 AU-2 A.8.15
BANN-7126 AC-8
BANN-7130 AC-8
BOOT-5122 AC-3 A.8.5
BOOT-5184 AC-6 A.8.3
BOOT-5264 CM-7 A.8.9
CRYP-7902 SC-17 A.8.24
CRYP-7930 SC-28 A.8.24
CRYP-7931 SC-28 A.8.24
FILE-6310 CM-6 A.8.9
FILE-6344 AC-6 A.8.3
FILE-6362 AC-6 A.8.3
FILE-6363 AC-6 A.8.3
FILE-6374 CM-6 A.8.9
FILE-6430 CM-7 A.8.9
FILE-7524 AC-6 A.8.3
FINT-4350 SI-7
FIRE-4508 SC-7 A.8.20
FIRE-4512 SC-7 A.8.20
FIRE-4513 SC-7 A.8.20
FIRE-4590 SC-7 A.8.20
HRDN-7222 CM-7 A.8.19
HRDN-7230 SI-3 A.8.7
KRNL-5788 SI-2 A.8.8
KRNL-5820 CM-6 A.8.9
KRNL-5830 SI-2 A.8.8
KRNL-6000 CM-6 A.8.9
LOGG-2130 AU-12 A.8.15
LOGG-2138 AU-12 A.8.15
LOGG-2146 AU-4 AU-11 A.8.15
LOGG-2154 AU-4 AU-9 A.8.15
LOGG-2190 AU-9 A.8.15
MACF-6208 AC-3
MACF-6290 AC-3
MALW-3280 SI-3 A.8.7
MALW-3290 SI-3 A.8.7
NETW-3015 SI-4 A.8.20
NETW-3200 CM-7 A.8.20
PKGS-7370 SI-7
PKGS-7388 SI-2 A.8.8
PKGS-7392 RA-5 SI-2 A.8.8
PKGS-7398 RA-5 A.8.8
PKGS-7420 SI-2 A.8.8
SCHD-7704 AC-6 A.8.3
SHLL-6220 AC-11 AC-12
SHLL-6230 AC-6 A.8.3
SNMP-3306 IA-5 A.5.17
SSH-7408 AC-17 CM-6 A.8.20
SSH-7440 AC-17 A.8.20
STRG-1846 CM-7 A.8.9
TIME-3104 AU-8 SC-45 A.8.17
TIME-3106 AU-8 SC-45 A.8.17
TOOL-5002 CM-6 A.8.9
TOOL-5102 AC-7
TOOL-5190 SI-4 A.8.16
USB-1000 MP-7 A.7.10
USB-2000 MP-7 A.7.10
USB-3000 MP-7 A.7.10
"""
CONTROLS: Mapping[str, tuple[str, ...]] = {
    test: tuple(controls) for test, *controls in map(str.split, _MAPPED.strip().split("\n"))
}


def controls(test: str) -> tuple[str, ...]:
    """Give the controls that a test has to do with; none for most."""
    return CONTROLS.get(test, ())
