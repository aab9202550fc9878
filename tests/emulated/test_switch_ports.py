"""Packet sockets of another process, widened from outside."""

from __future__ import annotations

import socket
import subprocess
import sys

from helsewan.emulation.routers.switch_ports import RECEIVE_BYTES, widen

CHILD = """
import socket, sys
packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
other = socket.socketpair()
packet.bind(("lo", 0))
print("ready", flush=True)
sys.stdin.readline()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"once", ("127.0.0.1", 9))
packet.settimeout(5)
heard = [packet.recvfrom(2048)[1][2]]
packet.settimeout(0.2)
try:
    while True:
        heard.append(packet.recvfrom(2048)[1][2])
except TimeoutError:
    pass
size = packet.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
print(size, socket.PACKET_OUTGOING in heard, other[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), flush=True)
"""


def test_packet_sockets_hold_more_and_hear_no_echo() -> None:
    ours, _ = pair = socket.socketpair()
    usual = ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    for sock in pair:
        sock.close()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin and child.stdout
        assert child.stdout.readline() == "ready\n"
        assert widen(child.pid) == 1
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline().split() == [str(2 * RECEIVE_BYTES), "False", str(usual)]
