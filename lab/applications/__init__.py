"""Applications over TCP and SIP between sites: clients and servers of many sites in one thread.

`tcp` and `sip` have the protocols as state machines without any I/O, `engine` runs them on sockets in the sites'
namespaces. Of `lab` it imports `flows` (planned traffic) only.
"""
