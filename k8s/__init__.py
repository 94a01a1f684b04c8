"""What has to do with Kubernetes and is no chart: the cluster that tests run on."""
