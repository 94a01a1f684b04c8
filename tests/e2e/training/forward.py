"""A Service of the cluster on this machine, by ``kubectl port-forward``."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from k8s.local.errors import ClusterError
from tests.e2e.cluster import Namespace


@contextmanager
def forwarded(space: Namespace, service: str, port: int) -> Iterator[str]:
    """URL that leads to the port of a Service, for the block.

    Raises:
        ClusterError: kubectl's own word, where it does not forward.
    """
    command = [*map(str, space.cluster.kubectl.start), f"--namespace={space.name}"]
    command += ["port-forward", f"service/{service}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            if found is None:
                raise ClusterError(f"kubectl port-forward says {said!r}.")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
