"""The door of ``python -m bentos``."""

import threading
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from bentos.core import Core
from tests import servers
from tests.bentos.grpc_door import doors


def test_the_process_answers_and_drains(bundle: Any, core: Core, tmp_path: Any) -> None:
    with servers.start(tmp_path, "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="1") as process:
        servers.ready(process)
        target = process.grpc.removeprefix("http://")
        with triton.InferenceServerClient(target) as client:
            assert client.is_model_ready("battle")
        codes: list[Any] = []
        answered = threading.Event()

        def call() -> None:
            channel: Any = grpc.insecure_channel(target)
            with channel:
                while True:
                    try:
                        doors.infer(channel, doors.raw_battle(core), wait_for_ready=False)
                    except grpc.RpcError as error:
                        codes.append(error)
                        return
                    answered.set()

        caller = threading.Thread(target=call)
        caller.start()
        assert answered.wait(20)
        process.terminate()
        assert process.wait(30) == 0, process.text()
        caller.join(20)
        assert [error.code() for error in codes] == [grpc.StatusCode.UNAVAILABLE]
        with (
            triton.InferenceServerClient(target) as client,
            pytest.raises(InferenceServerException, match="UNAVAILABLE"),
        ):
            client.is_server_live()
