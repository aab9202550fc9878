"""The command line: a module for each verb or group of verbs (`up` has `down` too, `exec` has `shell`).

Entry point: `main.main`, which assembles the verbs and maps errors to exit codes. `options` defines what verbs share;
`tables` has what they print. May import every package; none may import it.
"""
