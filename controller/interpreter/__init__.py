"""The pipeline in pure Python: what switches with given rules do to a packet, by OpenFlow and Open vSwitch."""
