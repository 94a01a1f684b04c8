"""What can be set in the serving process, by environment variables that begin with ``PDX_``.

A group and an attribute make the name of a variable: ``settings.http.keep_alive_seconds`` is
``PDX_HTTP_KEEP_ALIVE_SECONDS``, ``settings.bundle`` is ``PDX_BUNDLE``.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bentos.errors import SettingsError

PREFIX: Final = "PDX_"
OTHERS: Final = frozenset(
    {
        "PDX_HOME",
        "PDX_GIT_COMMIT",
        "PDX_GATE_REQUESTS",
        "PDX_GATE_SLOWDOWN",
        "PDX_FAIL_ON_SKIP",
        "PDX_SOURCE",
        "PDX_IMAGE_BASE",
        "PDX_IMAGE_REGISTRY",
    }
)
"""Variables with our prefix that `pdx` and the tests read; serving may be started with them around."""

_SERVICE_LINK: Final = re.compile(r"_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
"""Variables that Kubernetes adds to every container, a set for each service of the namespace."""
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://")

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Patience = Annotated[float, Field(ge=0.1, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 30)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Http(_Group):
    """The REST door.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 takes a free one, which the log names.
        keep_alive_seconds: how long an idle connection is kept. It must outlast the gateway's own idle timeout, or
            the gateway sends requests into connections that are just being closed and answers 502.
        body_bytes: longest body that is read, in bytes, both as it arrives and unpacked; one byte more is answered
            with 413. A thousand rows of 133 numbers are 0.5 MiB in binary and about 2.5 MiB in JSON.
        body_seconds: how long a body may take to arrive in full; later ones are answered with 408.
        arriving_bytes: bytes of bodies that are still arriving, of all connections together, and, counted apart, of
            those that wait for their answer; one that goes beyond is answered with 503.
        header_bytes: longest head of a request, request line included, in bytes; longer ones are answered with 431.
        header_seconds: how long the head of a request may take, from its first byte; slower ones are answered with 408.
        connections: open connections; one more is answered with 503 and closed.
    """

    host: str = "0.0.0.0"  # noqa: S104  a container is reached through its own address only
    port: Port = 3000
    keep_alive_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    body_bytes: Bytes = 4 << 20
    body_seconds: Patience = 30
    arriving_bytes: Bytes = 256 << 20
    header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10
    header_seconds: Patience = 10
    connections: Annotated[int, Field(ge=1, le=1 << 16)] = 2048


class Grpc(_Group):
    """The gRPC door.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 takes a free one, which the log names.
        threads: calls that compute at the same time. Each call that is let in has a thread besides
            (``PDX_LIMIT_IN_FLIGHT``).
        message_bytes: longest message that is read, in bytes; longer ones are answered with RESOURCE_EXHAUSTED.
        message_seconds: how long a message may take to arrive in full; calls of later ones are cancelled.
        header_bytes: longest metadata of a call, in bytes; longer ones are answered with RESOURCE_EXHAUSTED.
    """

    host: str = "0.0.0.0"  # noqa: S104  a container is reached through its own address only
    port: Port = 3001
    threads: Annotated[int, Field(ge=1, le=256)] = 16
    message_bytes: Bytes = 4 << 20
    message_seconds: Patience = 30
    header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10


class Limit(_Group):
    """What one request, and all of them together, may ask of the process, through every door.

    Attributes:
        rows: rows of one request of tensors or records; more are answered with 413, or INVALID_ARGUMENT. The pairings
            of a duel are bounded by its two species.
        in_flight: requests whose answers are being made, of one door; one more is answered with 503 and Retry-After,
            or RESOURCE_EXHAUSTED.
        nesting: how deep arrays and objects of a JSON body may lie in each other.
        offload_rows: requests of more rows than this are scored beside the event loop, so that smaller ones do not
            wait for them.
    """

    rows: Annotated[int, Field(ge=1, le=1 << 24)] = 10_000
    in_flight: Annotated[int, Field(ge=1, le=1 << 16)] = 256
    nesting: Annotated[int, Field(ge=4, le=200)] = 32
    offload_rows: Annotated[int, Field(ge=1, le=1 << 24)] = 128


class Auth(_Group):
    """API keys.

    Attributes:
        keys_file: file with one ``sha256:HEX`` of a key a line, re-read when it changes; None asks for no key. A file
            of a mounted Secret.
    """

    keys_file: Path | None = None


class Ids(_Group):
    """Prediction ids, which feedback refers to.

    Attributes:
        keys_file: file with one signing key a line, 32 bytes in hex; the first signs, all verify. None takes a random
            one, so that feedback works on the replica and during the life of the process that answered only.
        max_age_seconds: how old an id may be when feedback comes for it.
    """

    keys_file: Path | None = None
    max_age_seconds: Annotated[int, Field(ge=1, le=366 * 86_400)] = 30 * 86_400


class Live(_Group):
    """Liveness, and readiness of what still lives.

    Attributes:
        unready_seconds: how long the REST loop or the gRPC threads may make no progress before ``/readyz`` fails, so
            that requests go to other replicas. It comes back by itself.
        stall_seconds: the same before ``/livez`` fails, so that the process is started anew.
    """

    unready_seconds: Annotated[float, Field(ge=1, le=3600)] = 5
    stall_seconds: Annotated[float, Field(ge=1, le=3600)] = 20

    @model_validator(mode="after")
    def _unready_first(self) -> "Live":
        if self.unready_seconds > self.stall_seconds:
            raise ValueError("UNREADY_SECONDS must not be more than STALL_SECONDS")
        return self


class Admin(_Group):
    """The door for the kubelet, Prometheus and the rollout driver.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 takes a free one, which the log names.
    """

    host: str = "0.0.0.0"  # noqa: S104  the kubelet comes from outside the container
    port: Port = 3002


class Stop(_Group):
    """What happens between SIGTERM and the exit; the sum must fit into terminationGracePeriodSeconds (30 s).

    Attributes:
        drain_seconds: how long requests are still answered after readiness is gone. Endpoints and gateways need that
            long to hear of it; requests they send meanwhile would be refused.
        finish_seconds: how long requests in flight may then take before they are cut off.
    """

    drain_seconds: Seconds = 5
    finish_seconds: Seconds = 20


class Cohort(_Group):
    """Requests that are not users' traffic.

    Attributes:
        header: value of ``x-canary`` that counts a request for the cohort ``header``; None counts nobody so. A gateway
            that leads testers to the canary by it has to strip any other value.
    """

    header: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] | None = None


class Shadow(_Group):
    """Copies of users' requests to another version, whose answers are compared and thrown away.

    Attributes:
        file: JSON file with ``share`` of requests that are copied, ``concurrency`` of copies in flight and
            ``timeout_seconds`` of one, re-read when it changes; None copies nothing. A file of a mounted ConfigMap.
        target: where copies go, such as ``http://battle-canary:3000``.
    """

    file: Path | None = None
    target: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+/?$")] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Shadow":
        if (self.file is None) != (self.target is None):
            raise ValueError("PDX_SHADOW_FILE and PDX_SHADOW_TARGET are of no use without each other")
        return self


class Fault(_Group):
    """Faults on purpose, for tests of alerts and of rollouts; never for a service that anybody relies on.

    Attributes:
        allowed: must be ``yes-this-is-a-test`` where a fault is set, or the process refuses to start.
        slow_seconds: time that a slow request spends in the model beyond what it takes; an hour is a hang.
        slow_ratio: share of requests that are slow, in [0, 1].
        slow_first: requests after the start that are slow at most, as where something is cold; 0 is no bound.
        error_ratio: share of requests whose model fails, in [0, 1].
        answers: wrong ones in time: ``mirrored`` scores, ``shuffled`` columns, or ``one-type``, scores mirrored for
            duels whose attacker has the type water.
        memory_mib: memory that every request leaves behind, in MiB.
    """

    allowed: Literal["", "yes-this-is-a-test"] = ""
    slow_seconds: Seconds = 0
    slow_ratio: Annotated[float, Field(ge=0, le=1)] = 1
    slow_first: Annotated[int, Field(ge=0)] = 0
    error_ratio: Annotated[float, Field(ge=0, le=1)] = 0
    answers: Literal["", "mirrored", "shuffled", "one-type"] = ""
    memory_mib: Annotated[float, Field(ge=0, le=1024)] = 0

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.slow_seconds or self.error_ratio or self.answers or self.memory_mib)

    @model_validator(mode="after")
    def _only_in_tests(self) -> "Fault":
        if self.any and not self.allowed:
            raise ValueError("faults are for tests, and need PDX_FAULT_ALLOWED=yes-this-is-a-test beside them")
        return self


class Log(_Group):
    """What is written to stderr.

    Attributes:
        level: the least severe level that is written.
        format: one JSON object a line, or text for a terminal.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Settings(BaseSettings):
    """Every setting of the serving process.

    Attributes:
        bundle: folder of the bundle; None takes the one of the bento that this code lies in.
        termination_log: file that gets the one sentence saying why the process refused to serve, for ``kubectl
            describe``; None takes Kubernetes' own file where there is one.
        scratch: folder whose files' size ``process_scratch_bytes`` tells; None tells nothing.
        track: which of a release's two tracks this is; one that is ``canary`` copies no requests.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )

    bundle: Path | None = None
    termination_log: Path | None = None
    scratch: Path | None = None
    track: Literal["", "stable", "canary"] = ""
    http: Http = Http()
    grpc: Grpc = Grpc()
    admin: Admin = Admin()
    limit: Limit = Limit()
    auth: Auth = Auth()
    ids: Ids = Ids()
    live: Live = Live()
    stop: Stop = Stop()
    log: Log = Log()
    cohort: Cohort = Cohort()
    shadow: Shadow = Shadow()
    fault: Fault = Fault()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic-settings' signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Overrides, then the variables that are settings: a service link would pass for a field of a group."""
        source = EnvSettingsSource(settings_cls)
        known = {name.lower() for name in variables()}
        source.env_vars = {name: value for name, value in source.env_vars.items() if name in known}
        return init_settings, source

    @classmethod
    def read(cls, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read the environment; ``overrides`` are nested as the groups are (``{"http": {"port": 0}}``) and win.

        Raises:
            SettingsError: a variable is unknown or its value is not allowed.
        """
        known = set(variables())
        for name in sorted(os.environ):
            if name.upper().startswith(PREFIX) and name not in known | OTHERS and not _is_service_link(name):
                raise SettingsError(f"There is no setting {name}.{_nearest(name.upper(), known)}")
        try:
            return cls(**(overrides or {}))
        except ValidationError as refused:
            first = refused.errors(include_url=False)[0]
            name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsError(f"{name} is not usable: {_sentence(first['msg'])}") from refused


def variables() -> Iterator[str]:
    """Names of all environment variables that serving reads."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from (f"{PREFIX}{name}_{inner}".upper() for inner in field.annotation.model_fields)
        else:
            yield f"{PREFIX}{name}".upper()


def _is_service_link(name: str) -> bool:
    link = _SERVICE_LINK.search(name)
    # A name that ends in _PORT alone may as well be a setting that is spelled wrong; its value tells.
    return link is not None and (link[0] != "_PORT" or _SERVICE_URL.match(os.environ[name]) is not None)


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {near[0]}?" if near else f" Those that exist are {', '.join(sorted(known))}."


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".") + "."
