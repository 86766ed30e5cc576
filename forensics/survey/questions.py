"""What the survey asks a target: read-only commands, named, each with its limits.

Few, because a round trip costs; none starts a service, writes a file or loads a module.
"""

from __future__ import annotations

from dataclasses import dataclass

from forensics.host import MIB, Limits
from forensics.survey.procfs import Mount

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")

PROGRAMS = (
    *(
        "sudo",
        "sh",
        "cat",
        "dd",
        "busybox",
        "sha256sum",
        "find",
        "mktemp",
        "mount",
        "umount",
        "python3",
        "timeout",
        "stdbuf",
    ),
    *("bash", "perl", "socat", "ncat", "nc", "stunnel4", "stunnel", "stunnel5", "mkfifo"),
    *("insmod", "rmmod", "modprobe", "modinfo", "kmod", "dmesg", "sysctl", "journalctl"),
    *("ps", "ss", "who", "w", "last", "lsof", "netstat", "ip", "findmnt", "lsblk", "df"),
    *("blktrace", "blkparse", "btt", "iostat", "pidstat", "iotop", "iotop-py", "iotop-c", "dstat", "lynis"),
    *(
        "tar",
        "zstd",
        "lz4",
        "xz",
        "gzip",
        "openssl",
        "gpg",
        "debsums",
        "dpkg",
        "rpm",
        "systemctl",
        "getenforce",
        "aa-status",
    ),
)

KERNEL = "/proc/sys/kernel/"
SMALL_FILES = (
    *(KERNEL + name for name in ("osrelease", "version", "hostname", "tainted", "kptr_restrict", "modules_disabled")),
    *(KERNEL + name for name in ("dmesg_restrict", "kexec_load_disabled", "task_delayacct", "panic_on_oops")),
    KERNEL + "random/boot_id",
    "/proc/uptime",
    "/proc/cmdline",
    "/proc/meminfo",
    "/proc/modules",
    "/proc/self/mountinfo",
    "/proc/swaps",
    "/proc/partitions",
    "/proc/cpuinfo",
    "/proc/net/fib_trie",
    "/proc/net/if_inet6",
    "/etc/os-release",
    "/etc/machine-id",
    "/etc/timezone",
    "/sys/kernel/security/lockdown",
    "/sys/kernel/kexec_crash_loaded",
    "/sys/kernel/vmcoreinfo",
    "/sys/module/module/parameters/sig_enforce",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/product_serial",
    "/sys/class/dmi/id/product_uuid",
)

VMCOREINFO_REACH = 1 << 16
"""Headers and notes of /proc/kcore end well within its first 64 KiB; no memory is read."""


@dataclass(frozen=True, slots=True)
class Question:
    """A command with the name under which its answer is found."""

    name: str
    argv: tuple[str, ...]
    root: bool = True
    limits: Limits = Limits()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Copied(Question):
    """A file of the target that becomes an exhibit."""

    kind: str = ""
    file: str = ""
    title: str = ""


_PROCESSES = ("/proc", "-maxdepth", "2", "-path", "/proc/[0-9]*")
_CLOCK = Question("clock", ("date", "+%s.%N"), root=False)
_LARGE = Limits(seconds=180, bytes=128 * MIB)


def _named(programs: tuple[str, ...]) -> tuple[str, ...]:
    words = [word for program in programs for word in ("-o", "-name", program)]
    return ("(", *words[1:], ")")


_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def _each(*find: str, run: tuple[str, ...]) -> tuple[str, ...]:
    return ("find", *find, "-exec", *run, "{}", "+")


_GREP = ("grep", "-a", "-H")

FIRST = (
    _CLOCK,
    _CLOCK,
    _CLOCK,
    Question("machine", ("uname", "-m"), root=False),
    Question("small files", (*_GREP, "", *SMALL_FILES)),
    Question("process stat", _each(*_PROCESSES, "-name", "stat", run=("cat",))),
    Question("process owners", _each(*_PROCESSES, "-name", "status", run=(*_GREP, "^Uid:"))),
    Question(
        "programs",
        ("find", *SYSTEM_FOLDERS, "-maxdepth", "1", *_named(PROGRAMS), "-perm", "/111", "-print"),
        root=False,
    ),
    Question(
        "secure boot",
        _each("/sys/firmware/efi", "-maxdepth", "2", "-name", _SECURE_BOOT, run=("od", "-An", "-v", "-tu1")),
    ),
    Question("kernel notes", ("cat", "/sys/kernel/notes"), root=False),
    Question("kcore notes", ("dd", "if=/proc/kcore", f"bs={VMCOREINFO_REACH}", "count=1", "status=none")),
    Question("network cards", _each("-L", "/sys/class/net", "-maxdepth", "2", "-name", "address", run=(*_GREP, ""))),
    Question(
        "room",
        ("stat", "-f", "-c", "%n %T %S %a", "/dev/shm", "/run", "/tmp"),  # noqa: S108 - only asked about
        root=False,
    ),
    Question("sudo digest", _each("/usr/bin/sudo", run=("md5sum",)), root=False),
    Question(
        "sudo listed",
        _each("/var/lib/dpkg/info", "-maxdepth", "1", "-name", "sudo*.md5sums", run=("grep", "-a", "-h", "/sudo$")),
        root=False,
    ),
)


def files(release: str) -> tuple[Copied, ...]:
    """List the files to copy from a target that runs this kernel release."""
    return (
        Copied("proc-version", ("cat", "/proc/version"), root=False,
               kind="proc-version", file="proc-version.txt", title="/proc/version"),
        Copied("iomem", ("cat", "/proc/iomem"),
               kind="iomem", file="iomem.txt", title="/proc/iomem"),
        Copied("kernel-config", ("cat", f"/boot/config-{release}"),
               kind="kernel-config", file="kernel-config.txt", title=f"/boot/config-{release}"),
        Copied("kallsyms", ("cat", "/proc/kallsyms"), limits=_LARGE,
               kind="kallsyms", file="kallsyms.txt", title="/proc/kallsyms"),
        Copied("btf", ("cat", "/sys/kernel/btf/vmlinux"), limits=_LARGE,
               kind="btf", file="vmlinux.btf", title="/sys/kernel/btf/vmlinux"),
        Copied("system-map", ("cat", f"/boot/System.map-{release}"), limits=_LARGE,
               kind="system-map", file="system-map.txt", title=f"/boot/System.map-{release}"),
    )  # fmt: skip


RUNNING_CONFIG = Copied(
    "kernel-config", ("cat", "/proc/config.gz"),
    kind="kernel-config", file="kernel-config.gz", title="/proc/config.gz",
)  # fmt: skip


def place_of(device: str) -> Question:
    """Ask where in sysfs a block device is, by major:minor or by kernel name."""
    folder = "/sys/dev/block/" if ":" in device else "/sys/class/block/"
    return Question("root place", ("readlink", "-f", folder + device), root=False)


def parts_of(device: str) -> Question:
    """Ask what a mapped device (LVM, dm-crypt, RAID) lies on."""
    argv = ("find", f"/sys/class/block/{device}/slaves/", "-mindepth", "1", "-printf", "%f\\n")
    return Question("root parts", argv, root=False)


def real_name(root: Mount) -> Question:
    """Ask for the kernel's name of a mount's source (file systems such as btrfs have no device number of their own)."""
    return Question("root source", ("readlink", "-f", root.source), root=False)
