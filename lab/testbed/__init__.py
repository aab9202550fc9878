"""The running network of one sandbox, what has failed in it, and where its health is measured.

Entry point: `testbed.Testbed`.
"""
