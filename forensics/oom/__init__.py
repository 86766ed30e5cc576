"""Kills for want of memory, as a kernel's log tells them: from dmesg, syslog, the journal, and memory itself.

`lines` takes the prefixes away, `reports` reads what is left, `tables` makes the tables.
"""
