"""The machine: sandboxes, nodes, routers and links of an emulated network.

`sandbox` makes the namespaces of a run, `nodes` the sites, `routers` the switches, `links` the link engine's links and
`kernel` those of kernel queueing disciplines, `netlink` speaks to the kernel, `mininet` joins it all to Mininet, and
`linkengine` is the C extension. May import `common` and `topology`.
"""
