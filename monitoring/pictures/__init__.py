"""Pictures of the dashboards from recorded answers of a Prometheus: ``python -m monitoring.pictures``.

``record`` asks every query of every panel for a stretch of time and keeps the answers, one file a dashboard; ``draw``
makes a picture of each file without asking anybody, so that pictures can be drawn anew where no cluster is.
"""
