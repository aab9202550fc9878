"""The national health network: reference data, which sites a network of a given size has, what stands at each.

Entry point: `generator.national_network`. May import `common` and the other modules of `topology`.
"""
