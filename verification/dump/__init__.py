"""The rules of all switches in one file.

Entry point: `dump`, which reads and writes such files; `entry_json` and `fields` define the format of an entry.
"""
