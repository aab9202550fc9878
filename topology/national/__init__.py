"""The national health network: reference data, the choice of sites for a given size, and their properties.

Entry point: `generator.national_network`. May import only `common` and the other modules of `topology`.
"""
