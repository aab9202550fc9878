"""The brain: plan and live state become OpenFlow rules."""
