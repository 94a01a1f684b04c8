"""Where evidence comes from: counters of pods and of the gateway, golden requests, and what a version is."""
