"""The endpoints of the northbound interface: those of the network and those of the policy."""
