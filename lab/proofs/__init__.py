"""One verification, put together: the rules that are wanted, judged by themselves or on a running network.

Entry point: `verification`.
"""
