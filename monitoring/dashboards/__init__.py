"""Four dashboards, generated: ``python -m monitoring.dashboards`` writes them where the chart ships them from.

Thresholds are drawn from the series that the chart records of its ``slo`` block, so none is written here.
"""
