"""Real programs as jobs at sites: started on time, their output kept, ended with all that they started.

Entry point: `engine.ProgramEngine`; `records` has what it is given and what it returns. Of `lab` it imports nothing.
"""
