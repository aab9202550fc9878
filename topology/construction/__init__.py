"""The steps that build a complete network from locations: names, regions, backbone, access links, addresses.

Used by `helsewan.topology.national` and `helsewan.topology.importers`.
"""
