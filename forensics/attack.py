"""MITRE ATT&CK: the techniques that findings name, with their titles (Enterprise matrix, version 17)."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "T1003.008": "OS Credential Dumping: /etc/passwd and /etc/shadow",
    "T1014": "Rootkit",
    "T1036.004": "Masquerading: Masquerade Task or Service",
    "T1036.005": "Masquerading: Match Legitimate Resource Name or Location",
    "T1055": "Process Injection",
    "T1059.004": "Command and Scripting Interpreter: Unix Shell",
    "T1070.002": "Indicator Removal: Clear Linux or Mac System Logs",
    "T1070.003": "Indicator Removal: Clear Command History",
    "T1070.004": "Indicator Removal: File Deletion",
    "T1078.003": "Valid Accounts: Local Accounts",
    "T1098": "Account Manipulation",
    "T1098.004": "Account Manipulation: SSH Authorized Keys",
    "T1105": "Ingress Tool Transfer",
    "T1136.001": "Create Account: Local Account",
    "T1140": "Deobfuscate/Decode Files or Information",
    "T1222.002": "File and Directory Permissions Modification: Linux and Mac",
    "T1547.006": "Boot or Logon Autostart Execution: Kernel Modules and Extensions",
    "T1564.001": "Hide Artifacts: Hidden Files and Directories",
    "T1571": "Non-Standard Port",
    "T1572": "Protocol Tunneling",
    "T1574.006": "Hijack Execution Flow: Dynamic Linker Hijacking",
    "T1620": "Reflective Code Loading",
}


def named(technique: str) -> str:
    """Give a technique as a reader wants it, "T1014 (Rootkit)"; one that is not known here by its number alone."""
    title = NAMES.get(technique)
    return f"{technique} ({title})" if title else technique
