"""Who may ask, and who has changed what."""
