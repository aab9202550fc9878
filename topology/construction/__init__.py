"""The steps that make a complete network of places: names, regions, backbone, access lines, addresses.

Used by `helsewan.topology.national` and `helsewan.topology.importers`.
"""
