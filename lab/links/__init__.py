"""The links of a running network as users name and change them.

Entry point: `link_control`.
"""
