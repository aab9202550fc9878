"""The links of a running lab as users name and change them.

Entry point: `link_control`.
"""
