"""The blueprint: what the network is, before any of it runs."""
