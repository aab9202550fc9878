"""The command line: one module for each verb, `options` shared by them, `tables` for what they print.

Entry point: `main.main`. May import every package; none may import it.
"""
