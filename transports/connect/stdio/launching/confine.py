"""Gives up rights, in the process that is about to become a command with a sandbox.

`launcher` imports this file when such a command is to be started, in the interpreter without
packages in which it runs itself; the router never does. `sandbox/confinement.py` decides on the
rights.
"""

import ctypes
import os
import stat

_libc = ctypes.CDLL(None, use_errno=True)

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_PATH_BENEATH = 1
_OPENAT2 = 437
_FROM_FOLDER = -100
_NO_SYMLINKS = 4
_OF_FILES = 0xC007
"""Executing, writing, reading and cutting it, and controlling it as a device: the rights that
something can have which is no folder. The system refuses a rule with others."""

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION_BYTES = 8


class _PathBeneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _How(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine(fields: "list[bytes]") -> None:
    """Give up all rights but those in `fields`; see `sandbox.confinement.Confinement.fields`.

    Raises:
        OSError: the system refuses; the process must not go on.
    """
    ruleset_text, filter_text, *rules = fields
    attributes = bytes.fromhex(ruleset_text.decode())
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    for rule in rules:
        rights, path = rule.split(b" ", 1)
        _allow(ruleset, int(rights, 16), path)
    # Else a program with the setuid bit would run without these limits, so the system insists.
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))
    _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    calls = bytes.fromhex(filter_text.decode())
    if calls:
        program = _Program(len(calls) // _INSTRUCTION_BYTES, calls)
        mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
        _checked(_libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(program), 0, 0))


def _allow(ruleset: int, rights: int, path: bytes) -> None:
    # The links were followed when the rights were decided on. One that is there now was put there
    # by another process with the same sandbox.
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _NO_SYMLINKS)
    beneath = _libc.syscall(_OPENAT2, _FROM_FOLDER, path, ctypes.byref(how), ctypes.sizeof(how))
    if beneath < 0:
        return  # what is not there, or may not be looked at, allows nothing
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_FILES
        rule = _PathBeneath(rights, beneath)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(beneath)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
