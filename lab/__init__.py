"""A running network: the testbed and its processes, health, calibration and probing; `helsewan up`'s server and client.

Entry points: `testbed.testbed.Testbed` (brings a network up and injects faults), `emulation.Emulation` (for Python
programs), `server.up` and `client.client`. May import every package below it: all but `scenarios` and `cli`.
"""
