"""The running network of one sandbox, its failed routers and links, and the figures that its health is measured by.

Entry point: `testbed.Testbed`.
"""
