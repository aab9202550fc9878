"""The rehearsal: timelines of traffic and faults, and the verdict on them.

Entry point: `run.launcher`. `spec` reads scenario files, `traffic` plans what is sent, `run` follows the timeline,
`results` judges and reports, `library` has the scenarios. May import every package but `cli`.
"""
