"""When datagrams and calls are due, and how large datagrams are: arrival processes, calls, speech, video, RTCP.

Pure: random numbers come from generators that the caller seeds. Of `scenarios` it imports `spec` only.
"""
