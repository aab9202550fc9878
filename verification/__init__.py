"""Proof of isolation: what a network's rules do to every packet, compared with what the policy expects.

Entry point: `static.verify`. `concrete` follows one packet and `symbolic` all packets at once; `expected` is what the
policy expects; `local` is what each switch does by itself; `live` has test packets for a running network and their
outcomes; `reports` presents the findings; `mutation` tests the verifier with injected faults; `dump` reads and writes
rules as a file. At the top, `findings` and `failures` are the data all of them share, and `comparison` is the static
verifier's comparison.

Imports go one way: `concrete` <- `findings` <- `failures` <- `symbolic` <- `expected` <- `local` <- `live` <-
`reports` <- `comparison` <- `static` <- `mutation`; `dump` imports none of these, and `mutation` imports it. May import
`common`, `topology`, `policies` and `controller`.
"""
