#!/usr/bin/env python3
"""Sends bytes over TCP that the receiver can check: every block of 64 KiB is different.

    transfer.py receive|send ADDRESS PORT BYTES

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


def send(address, total_bytes):
    with socket.create_connection(address, PATIENCE_SECONDS) as connection:
        for _, block in blocks(total_bytes):
            connection.sendall(block)


def receive(address, total_bytes):
    family = socket.getaddrinfo(*address)[0][0]
    with socket.create_server(address, family=family) as server:
        print("listening", flush=True)
        server.settimeout(PATIENCE_SECONDS)
        connection = server.accept()[0]
    connection.settimeout(PATIENCE_SECONDS)
    with connection, connection.makefile("rb") as stream:
        for at, block in blocks(total_bytes):
            if stream.read(len(block)) != block:
                sys.exit(f"bytes {at} to {at + len(block)} differ from what was sent")
        if stream.read(1):
            sys.exit(f"more than the {total_bytes} bytes that were sent")


role, host, port, size = sys.argv[1:]
{"send": send, "receive": receive}[role]((host, int(port)), int(size))
