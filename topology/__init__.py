"""The network as frozen data: PoPs, routers, links, sites, access lines and addresses.

Entry points: `model` (the types), `national.generator` (the national network), `importers` (networks from files) and
`network_source` (either, as a user names it). `construction` has the steps that build a network, `graph` what is
computed on one, `exporters` other programs' formats. May import `common` alone.
"""
