"""The verbs: emit, relay, ledger, mirror, control, definitions, history."""
