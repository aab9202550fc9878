"""Figures of datagram flows, for all flows at once: the vectorised core behind `results.measure`. Pure.

Entry points: `batches` (records, put in order), `first_arrivals` and the modules of single figures. Of `scenarios` it
imports `spec` only.
"""
