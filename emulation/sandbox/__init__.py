"""The sandbox of one run: its namespaces, the checks of the host's prerequisites, and processor-time statistics.

Entry point: `sandbox`.
"""
