"""What can go wrong with the local cluster; each error is one sentence for the person at the terminal.

ClusterError
 ├── Missing      a prerequisite that only the person can supply
 ├── BuildFailed  a part did not build
 ├── NotReady     a part did not come up in its time
 └── CheckFailed  the cluster is up and does not do what it should
"""


class ClusterError(Exception):
    """One sentence that says what is wrong and, where it can, what to do."""


class Missing(ClusterError):
    """The machine lacks something that the cluster needs and cannot install."""


class BuildFailed(ClusterError):
    """A program could not be built or fetched."""


class NotReady(ClusterError):
    """Something was started and did not become ready within its bound."""


class CheckFailed(ClusterError):
    """A smoke check got another answer than it should."""
