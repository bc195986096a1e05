#!/usr/bin/env python3
"""Asks the kernel what mode the AF_XDP sockets of another process are in.

    xdp_options.py PID MODE...      exit 0: it has as many as there are MODEs, zerocopy or copy
"""

import ctypes
import os
import socket
import sys

SO_DOMAIN = 39
AF_XDP = 44
SOL_XDP = 283
XDP_OPTIONS = 8
XDP_OPTIONS_ZEROCOPY = 1
SYS_PIDFD_GETFD = 438


def sockets_of(pid):
    """Copies of all its sockets."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
        if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            continue
        copy = libc.syscall(SYS_PIDFD_GETFD, process, fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), f"pidfd_getfd of {fd}")
        # Python would ask for an address, which AF_XDP does not tell; so the family is given.
        yield socket.socket(AF_XDP, socket.SOCK_RAW, 0, fileno=copy)


def mode(xsk):
    flags = xsk.getsockopt(SOL_XDP, XDP_OPTIONS)
    return "zerocopy" if flags & XDP_OPTIONS_ZEROCOPY else "copy"


sockets = sockets_of(int(sys.argv[1]))
got = [mode(sock) for sock in sockets if sock.getsockopt(socket.SOL_SOCKET, SO_DOMAIN) == AF_XDP]
print("the sockets are in", *got)
sys.exit(sorted(got) != sorted(sys.argv[2:]))
