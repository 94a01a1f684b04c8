"""Load tests: a published generator of requests, Locust users for every door, and a gate by the chart's SLO.

Nothing of ours is imported: only what goes over the wire is known here.
"""
