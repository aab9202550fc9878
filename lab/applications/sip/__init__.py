"""SIP calls (a subset of RFC 3261) as state machines without I/O: messages and time in, messages and a timer out.

`message` reads and writes, `transactions` has the four transactions with their timers, `calls` a call at either end,
`user_agent` puts them together: the entry point.
"""
