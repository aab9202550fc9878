"""What the command line prints for people, one module for each subject.

Uses rich; imported by the verbs' functions only, never when the command line is assembled.
"""
