"""The controller: plan and live state become OpenFlow rules.

Entry points: `main` (command line), `process` (the process) and `app` (the Ryu application); `framework` alone imports
the OpenFlow framework. `rules` computes each switch's rules, `update` decides when which switch gets them, `openflow`
has rules as values and as bytes, `control` is the controller's sessions and interfaces, `slowpath` answers as routers
do, `northbound` is REST.
May import `common`, `topology` and `policies`.
"""
