"""Peers' benchmark: the same model behind this server and behind what users would otherwise pick.

``python -m loadtests.bench`` installs every contender into an environment of its own, runs one after another on one
core, loads it from the other, and writes a table and a plot to ``loadtests/results/``.
"""
