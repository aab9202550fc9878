"""The network as frozen data: PoPs, routers, links, sites, access links and addresses.

Entry points: `model` (the types), `national.generator` (the national network), `importers` (networks from files) and
`network_source` (either, by a CLI argument). `construction` has the steps that build a network, `graph` its path
computations, `exporters` other programs' formats. May import only `common`.
"""
