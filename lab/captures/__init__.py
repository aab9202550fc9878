"""Captures of other networks or of a run, read as a stream, and what of them is sent here. No sockets.

    capture_file (pcap, pcapng) -> link_layer -> ip_packet -> capture_stream -> survey
                                                                            -> rewrite -> replay_frames: packets
                                                                            -> conversations: what applications said

Entry points: `capture_file.read_capture`, `survey.survey`. Of `lab` it imports `flows`.
"""
