"""What happens to runs: admit, claim, record, wait, join, end, cancel, retry, read."""
