"""Proof of isolation: what a network's rules do to every packet, beside what the policy says of it.

Entry point: `static.verify`. `concrete` follows one packet, `symbolic` all packets at once, `expected` is the policy's
word, `live` asks a running network, `mutation` tries the verifier on faults, `dump` has rules in a file, `reports`
tells what was found. May import `common`, `topology`, `policies` and `controller`.
"""
