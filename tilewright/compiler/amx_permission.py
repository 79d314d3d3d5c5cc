"""Linux's permission to use AMX, whose registers make the saved state of a thread eight kilobytes larger."""

from __future__ import annotations

import ctypes
import sys

_ARCH_PRCTL = 158  # the system call on x86_64
_ARCH_REQ_XCOMP_PERM = 0x1023
_TILE_DATA = 18  # the component of the state that the tiles are


def may_use_amx() -> bool:
    """Ask that this process, its threads and its later children may use AMX; whether they may.

    Linux gives leave from 5.16 on (``Documentation/arch/x86/xstate.rst``); without, the first use is a fault.
    """
    if not sys.platform.startswith("linux"):
        return False
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return bool(
        syscall(ctypes.c_long(_ARCH_PRCTL), ctypes.c_long(_ARCH_REQ_XCOMP_PERM), ctypes.c_long(_TILE_DATA))
        == 0
    )
