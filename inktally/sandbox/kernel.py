"""The kernel's own interfaces for giving up rights: namespaces, users, capabilities, Landlock and seccomp.

Each function is a thin layer over one of them, acts on the process that calls it, for good, and raises `OSError` where
the kernel refuses. The process must have one thread only. inktally/sandbox/confinement.py decides what is used when.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

NEW_MOUNTS, NEW_CGROUPS, NEW_NAMES, NEW_IPC = 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000
NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x1000_0000, 0x2000_0000, 0x4000_0000
BIND, RECURSIVE, PRIVATE, NO_SUID, DETACH = 1 << 12, 1 << 14, 1 << 18, 1 << 1, 1 << 1  # of mount(2), umount2(2)
HERE, ALL_BELOW, READ_ONLY = -100, 0x8000, 1  # of mount_setattr(2)
DIES_WITH_PARENT, IS_DUMPABLE, SECCOMP, ADOPTS_ORPHANS, NO_NEW_PRIVILEGES = 1, 4, 22, 36, 38  # of prctl(2)
CAPABILITIES_VERSION = 0x2008_0522

MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""The column of a call's number, and how seccomp names the machine."""
REFUSED = {
    "socket": (41, 198), "io_uring_setup": (425, 425),
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "kcmp": (312, 272), "open_by_handle_at": (304, 265),
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41), "mount": (165, 40),
    "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
}  # fmt: skip
"""Calls that reach other processes, networks, what outlives a child, or parts of the kernel that are seldom used."""
CLONE, CLONE3 = (56, 220), 435
MORE_CALLS = 0x4000_0000  # numbers from here are another way to make the calls of x86_64
NAMESPACES = NEW_MOUNTS | NEW_CGROUPS | NEW_NAMES | NEW_IPC | NEW_USERS | NEW_PIDS | NEW_NETWORK  # as clone(2) has them
LOAD, AT_LEAST, EQUAL, HAS_ANY, RETURN = 0x20, 0x35, 0x15, 0x45, 0x06  # of the filter's machine
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16  # places in what the filter sees
ALLOW, KILL, FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
EPERM, ENOSYS = 1, 38

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT, CAPSET, PIVOT_ROOT, SETATTR = range(6)
NUMBERS = ((444, 445, 446, 126, 155, 442), (444, 445, 446, 91, 41, 442))
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FOLDER, REMOVE_FILE, MAKE_FOLDER, MAKE_FILE, MOVE, TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13, 1 << 14
READING = EXECUTE | READ_FILE | READ_FOLDER
WRITING = READ_FILE | READ_FOLDER | WRITE_FILE | REMOVE_FOLDER | REMOVE_FILE | MAKE_FOLDER | MAKE_FILE | MOVE | TRUNCATE
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE  # the other rights are of folders
RIGHTS_SINCE = {1: 13, 2: 14, 3: 15, 5: 16}  # how many rights over files there are, by versions of Landlock
TCP_SINCE, SCOPES_SINCE = 4, 6
TCP, SCOPES = 0b11, 0b11  # to bind and connect; to reach abstract sockets, and processes by signals

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: object) -> int:
    result: int = getattr(_libc, function)(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")
    return result


def _column() -> tuple[int, int]:
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise OSError(ENOSYS, f"not known for {sys.platform} on {platform.machine()}")
    return MACHINES[platform.machine()]


def _number(call: int, *arguments: object) -> int:
    """A system call that the C library has no function for."""
    return _call("syscall", ctypes.c_long(NUMBERS[_column()[0]][call]), *arguments)


def set_option(option: int, value: int) -> None:
    """An option of this process, by prctl(2)."""
    _call("prctl", option, ctypes.c_ulong(value), 0, 0, 0)


def enter_namespaces() -> None:
    """No mount, network or message of others is seen from now on; processes that we start get numbers of their own.

    Who is not root needs a namespace of users for that, in which there is nobody else.
    """
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        _call("unshare", NEW_USERS)
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny")
        (own / "uid_map").write_text(f"{user} {user} 1")
        (own / "gid_map").write_text(f"{group} {group} 1")
    _call("unshare", NEW_MOUNTS | NEW_PIDS | NEW_NETWORK | NEW_IPC | NEW_NAMES)
    _call("mount", None, b"/", None, ctypes.c_ulong(RECURSIVE | PRIVATE), None)


class Numbering:
    """The namespace of processes' numbers that we are in; what we start next may get one of its own."""

    def __init__(self) -> None:
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY)

    def fork(self) -> int:
        """As `os.fork`; the new process is the first of a namespace, and all in it end with it."""
        _call("unshare", NEW_PIDS)
        pid = os.fork()
        if pid != 0:
            _call("setns", self._own, NEW_PIDS)
        return pid


def build_root(root: Path, paths: Iterable[str], job: str) -> None:
    """Fill the folder `root`, for us only, with what is to be read of `paths` and an empty folder `job`."""
    _call("mount", b"tmpfs", bytes(root), b"tmpfs", ctypes.c_ulong(NO_SUID), b"size=1m,mode=755")
    bound: list[Path] = []
    for path in sorted(map(Path, paths), key=lambda path: len(path.parts)):
        if any(path.is_relative_to(other) for other in bound):
            continue
        real, place = path.resolve(), root / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if real != path:
            place.symlink_to(real)
        if not any(real.is_relative_to(other) for other in bound):
            _show(real, root / real.relative_to("/"))
            bound.append(real)
    (root / job).mkdir()
    attributes = struct.pack("QQQQ", READ_ONLY | NO_SUID, 0, 0, 0)
    _number(SETATTR, HERE, bytes(root), ALL_BELOW, attributes, ctypes.c_size_t(len(attributes)))


def _show(real: Path, place: Path) -> None:
    if real.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _call("mount", bytes(real), bytes(place), None, ctypes.c_ulong(BIND | RECURSIVE), None)


def enter_root(root: Path, job: str, folder: Path) -> None:
    """See nothing but `root` from now on, and `folder` as its `job`, in which we are afterwards."""
    _call("unshare", NEW_MOUNTS)
    _call("mount", bytes(folder), bytes(root / job), None, ctypes.c_ulong(BIND), None)
    os.chdir(root)
    _number(PIVOT_ROOT, b".", b".")  # puts the old root upon the new one
    _call("umount2", b".", DETACH)
    os.chdir(f"/{job}")


def remove_root(root: Path) -> None:
    """What `build_root` has put upon the folder; nothing, where that has gone."""
    with suppress(FileNotFoundError):
        _call("umount2", bytes(root), DETACH)


def become(user: int) -> None:
    """This user and the group of the same number, in no other group."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def drop_capabilities() -> None:
    """All, and no program that we start brings any; nobody of this user may look into our memory."""
    set_option(NO_NEW_PRIVILEGES, 1)
    set_option(IS_DUMPABLE, 0)
    _number(CAPSET, struct.pack("Ii", CAPABILITIES_VERSION, 0), bytes(24))


def landlock_version() -> int:
    """The newest that the kernel has; 0: none."""
    try:
        return _number(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def restrict(paths: Mapping[str, int], version: int) -> None:
    """Only these paths with these rights, no TCP, no abstract socket of others, and no signal to others.

    Older versions of Landlock know fewer rights and do not restrict those they do not know.
    """
    rights = (1 << max(number for since, number in RIGHTS_SINCE.items() if since <= version)) - 1
    asked = (rights, TCP if version >= TCP_SINCE else 0, SCOPES if version >= SCOPES_SINCE else 0)
    known = 8 * (3 if version >= SCOPES_SINCE else 2 if version >= TCP_SINCE else 1)
    rules = _number(LANDLOCK_CREATE, struct.pack("QQQ", *asked), ctypes.c_size_t(known), ctypes.c_uint32(0))
    for path, wanted in paths.items():
        with suppress(FileNotFoundError, PermissionError):  # what is not there, or closed to this user, stays closed
            _allow(rules, path, wanted & rights)
    set_option(NO_NEW_PRIVILEGES, 1)
    _number(LANDLOCK_RESTRICT, rules, ctypes.c_uint32(0))
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mine = rights if Path(path).is_dir() else rights & OF_FILES
        _number(LANDLOCK_ADD, rules, 1, struct.pack("=Qi", mine, descriptor), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def refuse_calls() -> None:
    """The calls that `REFUSED` names fail from now on, and so does making namespaces."""
    column, machine = _column()
    step = struct.Struct("HBBI").pack
    refuse = step(RETURN, 0, 0, FAIL | EPERM)
    program = [step(LOAD, 0, 0, MACHINE), step(EQUAL, 1, 0, machine), step(RETURN, 0, 0, KILL)]
    program += [step(LOAD, 0, 0, NUMBER), step(AT_LEAST, 0, 1, MORE_CALLS), refuse]
    for numbers in REFUSED.values():
        program += [step(EQUAL, 0, 1, numbers[column]), refuse]
    program += [step(EQUAL, 0, 1, CLONE3), step(RETURN, 0, 0, FAIL | ENOSYS)]  # the C library then uses clone
    program += [step(EQUAL, 0, 3, CLONE[column]), step(LOAD, 0, 0, FIRST_ARGUMENT), step(HAS_ANY, 0, 1, NAMESPACES)]
    program += [refuse, step(RETURN, 0, 0, ALLOW)]
    steps = ctypes.create_string_buffer(b"".join(program))
    pointer = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(steps)))
    set_option(NO_NEW_PRIVILEGES, 1)
    _call("prctl", SECCOMP, ctypes.c_ulong(2), pointer, 0, 0)
