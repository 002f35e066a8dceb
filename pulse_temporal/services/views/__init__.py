"""Read what lists and pages show; nothing here changes anything."""
