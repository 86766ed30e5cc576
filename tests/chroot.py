"""What cannot be had in a chroot, whatever is installed."""

IN_A_CHROOT = "nothing in a chroot may have namespaces of its own"
"""A skip for this reason is no failure in CI."""
