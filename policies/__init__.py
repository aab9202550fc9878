"""Policies: VPN membership, contracts (who may open which service to whom), classes of service, path constraints.

Entry point: `compile.compile_policy` compiles a policy and a network to a `plan.Plan`. `language` reads policy files,
`passes` are the compiler's steps, `paths` places demand on links, `analysis` compares and explains policies. May import
`common` and `topology`.
"""
