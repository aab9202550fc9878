"""The northbound interface: REST, server-sent events and Prometheus metrics, served by a process of its own.

Entry points: `main` (the process) and `api` (the application). `routes` has the endpoints, `views` their responses.
"""
