"""The northbound interface: REST, server-sent events and Prometheus metrics, served by a process of its own."""
