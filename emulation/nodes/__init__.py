"""Sites as Mininet hosts, and hosts behind them.

Entry point: `nodes.SiteNode`.
"""
