"""Faults that an image of the tests has built in; ``pdx_faults.pth`` beside it loads them into the server's process.

A fault is switched on in a running pod by a file that names it, which a thread looks for:

    kubectl exec POD -- python -c "from pathlib import Path; Path('/tmp', 'fault').write_text('rest-loop')"

Python's process 1 alone has them: what is executed in the pod besides is left alone.
"""

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FILE = Path("/tmp", "fault")  # noqa: S108  the scratch folder of the pod
FOREVER_S = 3_600
_POLL_S = 0.1
_pools: "weakref.WeakSet[ThreadPoolExecutor]" = weakref.WeakSet()


def rest_loop() -> None:
    """Block the main thread, in which the REST loop runs."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def grpc_pool() -> None:
    """Occupy every thread of the gRPC door."""
    for pool in list(_pools):
        if (pool._thread_name_prefix or "").startswith("grpc"):
            for _ in range(pool._max_workers):
                pool.submit(time.sleep, FOREVER_S)


FAULTS: dict[str, Callable[[], None]] = {"rest-loop": rest_loop, "grpc-pool": grpc_pool}


def install() -> None:
    """Remember the thread pools that are made, and look for the file."""
    FILE.unlink(missing_ok=True)  # the scratch folder outlives the container, and the next one is to be well
    made = ThreadPoolExecutor.__init__

    def remember(pool: ThreadPoolExecutor, *arguments: Any, **options: Any) -> None:
        made(pool, *arguments, **options)
        _pools.add(pool)

    setattr(ThreadPoolExecutor, "__init__", remember)  # noqa: B010  a method may not be assigned to, for mypy
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(FOREVER_S))
    threading.Thread(target=_look, name="faults", daemon=True).start()


def _look() -> None:
    done: set[str] = set()
    while True:
        if FILE.exists():
            for name in set(FILE.read_text().split()) - done:
                FAULTS[name]()
                done.add(name)
        time.sleep(_POLL_S)


if os.getpid() == 1 and "bentos" in sys.orig_argv:
    install()
