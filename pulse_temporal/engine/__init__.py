"""The façade: wires the rooms together and owns their lifecycle. No rules, no SQL."""
