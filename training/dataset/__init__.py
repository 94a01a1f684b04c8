"""Duels with a known truth: how they are drawn, split, played, checked and read."""
