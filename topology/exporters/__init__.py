"""A network in other programs' formats: GraphML, GeoJSON, JSON, DOT, containerlab."""
