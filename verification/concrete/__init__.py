"""One packet at a time: the pipeline in pure Python, by OpenFlow and Open vSwitch.

Entry point: `fabric.Fabric`, all switches together; `switch.Switch` is one of them.
"""
