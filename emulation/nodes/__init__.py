"""Sites as Mininet hosts, and LAN hosts behind them.

Entry point: `nodes.SiteNode`.
"""
