"""What whoever is on call looks at: dashboards as code, runbooks, and an example of routing."""
