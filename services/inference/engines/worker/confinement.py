"""What a worker process gives up before it sees a model. Nothing here needs privileges, and nothing can be taken back.

- Memory: RLIMIT_DATA bounds what it allocates (RLIMIT_AS would count what libraries only reserve), so that an
  allocation fails instead of the machine; the service watches its resident memory as well, which has what this misses.
  RLIMIT_FSIZE bounds the memory that is shared; other memory that is a file, or outlives the process, it cannot have.
- Files: nothing can be opened but the installation, and nothing written but in the scratch folder of a conversion
  (Landlock). What is open stays open. Nor can owners, modes, times and attributes be changed, which Landlock allows.
- Network and other processes: no socket is made, no program started, no process but this one signalled, read, limited
  or slowed, and it stays in its own group (a seccomp filter, see seccomp(2)).
- Root's capabilities: a service should not run as root, but some do.
- It ends with its parent, writes no core, and is what the kernel ends first when the machine has no memory left.

Where the kernel knows no Landlock or no seccomp, a worker does without, and says so.

With ``compiler`` a process may start Python and programs below /usr, which are confined as it is, stay in its group,
and are ended with it. What it has started can signal no process but the worker itself: the filter, which is the same
for all of them, allows tgkill for the worker's own pid only. That is for measuring what a C++ compiler makes; no
process that serves has it.
"""

import contextlib
import ctypes
import mmap
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PDEATHSIG, _NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 1, 38, 22, 2  # prctl(2)
_CAPABILITIES_VERSION = 0x20080522  # capset(2)
SLACK_BYTES = 512 << 20
"""For stacks and arenas of threads, which are address space more than memory."""
_OPEN_FILES = 256

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_RIGHTS_BY_VERSION = ((1 << 13) - 1, 1 << 13, 1 << 14, 0, 1 << 15)
_SCOPES = 0b11  # abstract sockets and signals, from version 6 on
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo")
_READABLE_TOO = ("/proc/meminfo", "/proc/stat", "/sys/devices/system", "/dev/urandom", "/dev/null", "/dev/zero")
_EXECUTABLE = ("/usr", "/bin", "/lib", "/lib64")
"""Programs, and what loads them."""
_FOR_CUDA = ("/dev", "/proc", "/sys", "/etc")

# linux/filter.h, linux/seccomp.h; numbers of x86_64 and of aarch64
_LOAD, _EQUAL, _AT_LEAST, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARGUMENTS = 0, 16
"""Where the call's number and its arguments lie, each of 8 bytes, the lower half first."""
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x10000
_CLONE_ELSEWHERE = 0x7E020000 | 0x8000
"""Namespaces of its own, and CLONE_PARENT: to be a child of the template."""
_STARTS = ("fork", "vfork", "execve")
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_DENIED = {
    "x86_64": {
        "socket": 41, "connect": 42, "bind": 49, "listen": 50, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
        "ptrace": 101, "rt_sigqueueinfo": 129, "tkill": 200, "process_vm_readv": 310, "process_vm_writev": 311,
        "rt_tgsigqueueinfo": 297, "execveat": 322, "unshare": 272, "setns": 308, "mount": 165, "bpf": 321,
        "perf_event_open": 298, "keyctl": 250, "add_key": 248, "request_key": 249, "userfaultfd": 323,
        "setpgid": 109, "setsid": 112, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144,
        "sched_setattr": 314, "ioprio_set": 251, "syslog": 103, "chroot": 161, "shmget": 29, "semget": 64,
        "msgget": 68, "mq_open": 240, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93,
        "lchown": 94, "fchownat": 260, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
        "lremovexattr": 198, "fremovexattr": 199, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "bind": 200, "listen": 201, "execve": 221, "kill": 129, "ptrace": 117,
        "rt_sigqueueinfo": 138, "tkill": 130, "process_vm_readv": 270, "process_vm_writev": 271,
        "rt_tgsigqueueinfo": 240, "execveat": 281, "unshare": 97, "setns": 268, "mount": 40, "bpf": 280,
        "perf_event_open": 241, "keyctl": 219, "add_key": 217, "request_key": 218, "userfaultfd": 282,
        "setpgid": 154, "setsid": 157, "setpriority": 140, "sched_setparam": 118, "sched_setscheduler": 119,
        "sched_setattr": 274, "ioprio_set": 30, "syslog": 116, "chroot": 51, "shmget": 194, "semget": 190,
        "msgget": 186, "mq_open": 180, "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54, "setxattr": 5,
        "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "utimensat": 88,
    },
}  # fmt: skip
_DENIED_EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "pidfd_open": 434, "pidfd_getfd": 438, "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466,
}  # fmt: skip
_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}
_CLONE = {"x86_64": 56, "aarch64": 220}
_TGKILL = {"x86_64": 234, "aarch64": 131}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_FCNTL = {"x86_64": 72, "aarch64": 25}
_IOCTL = {"x86_64": 16, "aarch64": 29}
_TO_WHOM = {8, 10, 15}
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: who gets which signal when something arrives."""
_IOCTL_TO_WHOM = {0x8901, 0x8902}
"""FIOSETOWN, SIOCSPGRP: the same."""
_CLONE3 = 435


def follow_parent(parent: int) -> None:
    """End this process when ``parent`` does, and at once if it has."""
    _LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def confine(memory_bytes: int, *, cuda: bool, scratch: str = "", compiler: bool = False) -> list[str]:
    """Give up all that is said above, but for writing to the folder ``scratch``, and with ``compiler`` for starting
    programs, unless the kernel cannot say which; returns what it does not have, in words."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    limit = resource.setrlimit
    limit(resource.RLIMIT_CORE, (0, 0))
    if not cuda:  # its driver maps more, and opens more, than any bound on these would make sense of
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _lower(resource.RLIMIT_DATA, _data_bytes() + memory_bytes + SLACK_BYTES)
    if not scratch:  # the only file that it can make larger is the memory for answers
        _lower(resource.RLIMIT_FSIZE, shared_bytes(memory_bytes))
    _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    missing = []
    readable = [*sys.path, sys.prefix, sys.base_prefix, *_READABLE, *_READABLE_TOO]
    executable = [*_EXECUTABLE, sys.executable] if compiler else []  # which tries what the processor can
    if not _restrict_files(readable, executable, cuda=cuda, scratch=scratch):
        missing.append("files (Landlock)")
        compiler = False
    _drop_capabilities()
    if not _filter_calls(cuda=cuda, compiler=compiler):
        missing.append("network and processes (seccomp)")
    return missing


def shared_bytes(memory_bytes: int) -> int:
    """How large the memory for answers may become where a model may take so much."""
    return 2 * memory_bytes


def _drop_capabilities() -> None:
    nobody = struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24)
    if _LIBC.capset(*nobody) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def _lower(what: int, to: int) -> None:
    _, hard = resource.getrlimit(what)
    bound = to if hard == resource.RLIM_INFINITY else min(to, hard)
    resource.setrlimit(what, (bound, bound))


def _data_bytes() -> int:
    """What counts for RLIMIT_DATA now."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * mmap.PAGESIZE


def _restrict_files(readable: Iterable[str], executable: Sequence[str], *, cuda: bool, scratch: str) -> bool:
    version = _LIBC.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    handled = sum(_RIGHTS_BY_VERSION[:version])
    attributes = struct.pack("=QQQ", handled, 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _LIBC.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in executable:
            _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
        if executable:  # a compiler's output may go there
            _allow(ruleset, os.devnull, _READ_FILE | _WRITE_FILE)
        _allow(ruleset, scratch, handled & ~_EXECUTE)
        for path in _FOR_CUDA if cuda else ():
            _allow(ruleset, path, (_WRITE_FILE | _READ_FILE | _READ_DIR | 1 << 15) & handled)
        return bool(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not path:
        return
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there need not be allowed
        return
    try:
        if not Path(path).is_dir():
            rights &= ~_READ_DIR
        _LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _filter_calls(*, cuda: bool, compiler: bool) -> bool:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    program = b"".join(_program(machine, cuda=cuda, compiler=compiler))
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return bool(_LIBC.prctl(_SET_SECCOMP, _FILTER, described, 0, 0) == 0)


def _program(machine: str, *, cuda: bool, compiler: bool) -> Sequence[bytes]:
    """A filter in classic BPF. Its jumps say how many instructions to pass over: if so, if not."""
    refused = _instruction(_RETURN, _ERRNO | _EPERM)
    numbers = {*_DENIED[machine].values(), *_DENIED_EVERYWHERE.values()}
    if not cuda:  # whose driver shares memory with itself that way
        numbers.add(_MEMFD_CREATE[machine])
    cloned = _instruction(_SET, _CLONE_THREAD, 0, 1)  # threads
    if compiler:
        numbers -= {_DENIED[machine][call] for call in _STARTS if call in _DENIED[machine]}
        cloned = _instruction(_SET, _CLONE_ELSEWHERE, 1, 0)
    own = os.getpid()
    return [
        _instruction(_LOAD, 4),  # the architecture
        _instruction(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        *([_instruction(_AT_LEAST, 0x40000000, 0, 1), refused] if machine == "x86_64" else []),  # x32
        *(part for number in sorted(numbers) for part in (_instruction(_EQUAL, number, 0, 1), refused)),
        # Its flags are in memory, where a filter cannot look: libc takes clone instead where this is not there.
        _instruction(_EQUAL, _CLONE3, 0, 1),
        _instruction(_RETURN, _ERRNO | _ENOSYS),
        *_only(_CLONE[machine], 0, [cloned]),
        *_only(_TGKILL[machine], 0, [_instruction(_EQUAL, own, 0, 1)]),  # abort() signals itself by this
        *_only(_PRLIMIT[machine], 0, [_instruction(_EQUAL, own, 1, 0), _instruction(_EQUAL, 0, 0, 1)]),
        *_not(_FCNTL[machine], 1, _TO_WHOM),
        *_not(_IOCTL[machine], 1, _IOCTL_TO_WHOM),
        _instruction(_RETURN, _ALLOW),
    ]


def _only(call: int, argument: int, tests: Sequence[bytes]) -> Sequence[bytes]:
    """Allow ``call`` where ``tests`` of an argument pass on to what follows them, and refuse it where they pass over
    one instruction more."""
    allowed, refused = _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _ERRNO | _EPERM)
    body = [_instruction(_LOAD, _ARGUMENTS + 8 * argument), *tests, allowed, refused]
    return [_instruction(_EQUAL, call, 0, len(body)), *body]


def _not(call: int, argument: int, values: Iterable[int]) -> Sequence[bytes]:
    """Refuse ``call`` where an argument is one of ``values``, and allow it otherwise."""
    refused = _instruction(_RETURN, _ERRNO | _EPERM)
    tests = [part for value in sorted(values) for part in (_instruction(_EQUAL, value, 0, 1), refused)]
    body = [_instruction(_LOAD, _ARGUMENTS + 8 * argument), *tests, _instruction(_RETURN, _ALLOW)]
    return [_instruction(_EQUAL, call, 0, len(body)), *body]


def _instruction(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
