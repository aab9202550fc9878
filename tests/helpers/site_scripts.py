"""Programs that tests run at a site of a network, by ``python -c``: their arguments follow, and they print JSON."""

# Arguments: interface, a peer's IPv4 and IPv6 address. Lets the kernel doubt its neighbours there after a second, not
# half a minute, and sends datagrams until it has asked each again. Prints the states that their entries had.
AGE = """
import json, pathlib, socket, subprocess, sys, time
interface, *peers = sys.argv[1:]
states = {}
for version, peer in zip((4, 6), peers):
    for name, value in (("base_reachable_time_ms", 500), ("delay_first_probe_time", 1)):
        pathlib.Path(f"/proc/sys/net/ipv{version}/neigh/{interface}/{name}").write_text(str(value))
    subprocess.run(["ip", f"-{version}", "neigh", "flush", "dev", interface], check=True, capture_output=True)
    sender, seen, end = socket.socket((2, 10)[version == 6], 2), [], time.monotonic() + 30
    while time.monotonic() < end and "FAILED" not in seen and seen[-3:] != ["REACHABLE", "aged", "REACHABLE"]:
        sender.sendto(b"x", (peer, 9999))
        shown = subprocess.run(["ip", f"-{version}", "neigh", "show", "dev", interface], capture_output=True, text=True)
        state = (shown.stdout.split() or ["none"])[-1]
        state = "aged" if state in ("STALE", "DELAY", "PROBE") else state
        seen += [state] if state not in seen[-1:] and state in ("aged", "REACHABLE", "FAILED") else []
        time.sleep(0.05)
    states[version] = seen[-3:]
print(json.dumps(states))
"""

# Arguments: port. Returns what it receives, over IPv4 and IPv6, until it is ended; prints a line once it listens.
ECHO = """
import socket, sys, threading
def serve(peer):
    keep_alive(peer)
    while data := peer.recv(65536): peer.sendall(data)
def keep_alive(line):
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT): line.setsockopt(6, option, 1)
heard = socket.create_server(("", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True: threading.Thread(target=serve, args=(heard.accept()[0],), daemon=True).start()
"""

# Arguments: port, addresses. Opens a connection to ``ECHO`` at each address, says so, and exchanges ten kilobytes
# over each when a line comes on standard input. Both ends give up a connection whose
# keep-alive is not answered within a second.
HOLD = """
import socket, sys
port, *addresses = sys.argv[1:]
lines = [socket.create_connection((address, int(port)), 20) for address in addresses]
for line in lines:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT): line.setsockopt(6, option, 1)
print("open", flush=True)
sys.stdin.readline()
for line in lines:
    line.sendall(bytes(10_000))
    heard = 0
    while heard < 10_000: heard += len(line.recv(10_000)) or sys.exit("closed")
print("alive", flush=True)
"""
