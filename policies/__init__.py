"""The intent: who belongs together, who may open what to whom, and in which class.

Entry point: `compile.compile_policy`, which makes a `plan.Plan` of a policy and a network. `language` reads policy
files,
`passes` are the compiler's steps, `paths` places demand on links, `analysis` compares and explains policies. May import
`common` and `topology`.
"""
