"""Rollouts of a new version as a canary, and the statistics that decide over them."""
