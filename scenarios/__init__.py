"""The rehearsal: timelines of traffic and faults, and the verdict on them."""
