"""The Open Inference Protocol v2 over REST: from a request's bytes to rows, and from the core's answer to bytes."""
