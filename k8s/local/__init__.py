"""A Kubernetes to test on: kind where it is there, else one node made of upstream parts on this very machine.

``python -m k8s.local up``, or ``make cluster``; docs/cluster.md says what is in it and what it cannot prove.
"""
