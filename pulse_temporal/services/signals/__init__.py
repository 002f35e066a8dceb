"""Emit signals: check, store, match, plan runs; many at once; again."""
