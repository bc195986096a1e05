#!/usr/bin/env python3
"""Exchanges UDP datagrams of which both ends know every byte: of every length, in order.

    datagrams.py ask|answer ADDRESS PORT COUNT

The answerer prints `listening`; each datagram is answered by another. Both fail on the first that
differs, is missing or comes out of order.
"""

import itertools
import random
import socket
import sys

LONGEST = 1472  # IPv4 in an MTU of 1500
UNANSWERED = 32  # datagrams on their way: few enough for every queue
PATIENCE_SECONDS = 20


def datagrams(seed, count):
    """The shortest and the longest first: frames of 60 and 1514 bytes."""
    source = random.Random(seed)
    for at in range(count):
        yield source.randbytes((0, LONGEST)[at] if at < 2 else source.randint(0, LONGEST))


def expect(udp, at, wanted):
    try:
        got, sender = udp.recvfrom(LONGEST + 1)
    except TimeoutError:
        sys.exit(f"datagram {at} did not arrive")
    if got != wanted:
        sys.exit(f"datagram {at} is {len(got)} bytes and not the {len(wanted)} that were sent")
    return sender


def ask(udp, address, count):
    questions = datagrams("questions", count)
    for at, wanted in enumerate(datagrams("answers", count)):
        # The first goes alone: datagrams that wait for a neighbour may be overtaken by later ones.
        for question in itertools.islice(questions, UNANSWERED if at == 1 else 1):
            udp.sendto(question, address)
        expect(udp, at, wanted)


def answer(udp, address, count):
    udp.bind(address)
    print("listening", flush=True)
    answers = datagrams("answers", count)
    for at, wanted in enumerate(datagrams("questions", count)):
        udp.sendto(next(answers), expect(udp, at, wanted))


role, host, port, number = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(PATIENCE_SECONDS)
    {"ask": ask, "answer": answer}[role](sock, (host, int(port)), int(number))
