"""Deployable processes; they use the library through its front door only."""
