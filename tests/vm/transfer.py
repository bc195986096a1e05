#!/usr/bin/env python3
"""Sends bytes over TCP or SCTP that the receiver can check: every block of 64 KiB is different.

    transfer.py receive|send ADDRESS PORT BYTES [tcp|sctp]

The receiver prints `listening`, takes one connection, and fails on the first block that differs.
"""

import random
import socket
import sys

BLOCK_BYTES = 1 << 16
PATIENCE_SECONDS = 60


def blocks(total_bytes):
    source = random.Random(1)
    for at in range(0, total_bytes, BLOCK_BYTES):
        yield at, source.randbytes(min(BLOCK_BYTES, total_bytes - at))


def stream_socket(address, protocol):
    made = socket.socket(socket.getaddrinfo(*address)[0][0], socket.SOCK_STREAM, protocol)
    made.settimeout(PATIENCE_SECONDS)
    return made


def send(address, total_bytes, protocol):
    with stream_socket(address, protocol) as connection:
        connection.connect(address)
        for _, block in blocks(total_bytes):
            connection.sendall(block)


def receive(address, total_bytes, protocol):
    with stream_socket(address, protocol) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen()
        print("listening", flush=True)
        connection = server.accept()[0]
    connection.settimeout(PATIENCE_SECONDS)
    with connection, connection.makefile("rb") as stream:
        for at, block in blocks(total_bytes):
            if stream.read(len(block)) != block:
                sys.exit(f"bytes {at} to {at + len(block)} differ from what was sent")
        if stream.read(1):
            sys.exit(f"more than the {total_bytes} bytes that were sent")


role, host, port, size = sys.argv[1:5]
over = {"tcp": socket.IPPROTO_TCP, "sctp": socket.IPPROTO_SCTP}[(sys.argv[5:] or ["tcp"])[0]]
{"send": send, "receive": receive}[role]((host, int(port)), int(size), over)
