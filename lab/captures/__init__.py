"""Captures of other networks or of a run: read, rewritten for this network, sent again and followed.

    capture_file (pcap, pcapng) -> link_layer -> ip_packet -> rewrite -> replay_frames -> wire_replay

Entry points: `capture_file.read_capture`, `replay_engine.ReplayEngine`. Of `lab` it imports `flows`.
"""
