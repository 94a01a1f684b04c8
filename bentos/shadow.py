"""Copies of users' requests to another version, compared with what the users were answered and then thrown away.

A door offers each prediction that it answered. Of a share of them, drawn at random, one observation is appended to a
queue; all else happens in a thread with an event loop of its own:

- an observation is copied a tick after it was appended at the earliest, when its answer has left;
- a tick starts no more copies than may be in flight, so ``concurrency / TICK_SECONDS`` bounds the copies a second
  that this process can pay for, however fast the other version is;
- while many requests are in flight here, and when the queue is full, observations are dropped.

Nothing that happens to a copy is seen by users; ``shadow_dropped_total`` says what did.
"""

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from math import isfinite
from random import random
from threading import Event, Thread
from time import time
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos import settings
from bentos.cohorts import HEADER, LIFE_SECONDS, Cohorts, Mark
from bentos.core import Core, Prediction
from bentos.errors import SettingsError
from bentos.metrics import Metrics
from bentos.observation import Kept, Observation, keep, observe, question, said
from bentos.secretfile import SecretFile

if TYPE_CHECKING:
    import aiohttp

SETTING: Final = "PDX_SHADOW_FILE"
TICK_SECONDS: Final = 0.01
QUEUE: Final = 64
"""Observations that wait; what waits longer says nothing more, and costs memory."""
RENEW: Final = 1 / 64
"""Share of copies that close their connection behind them: a Service picks pods for connections, not for requests."""
_IDLE_SECONDS: Final = 0.25
_KEEP_ALIVE_SECONDS: Final = 30
_LONGEST_ANSWER: Final = 1 << 20

log = logging.getLogger(__name__)


class Plan(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0


class Shadow:
    """Copies requests from ``start`` on.

    Args:
        file: of the plan; one that cannot be used copies nothing.
        target: scheme, host and port of the other version's service.
        cohorts: makes the marks of copies.
        metrics: counts, and says how many requests are in flight.
        busy_above: requests in flight here above which nothing is copied.
    """

    def __init__(
        self, file: SecretFile[Plan], target: str, *, cohorts: Cohorts, metrics: Metrics, busy_above: int
    ) -> None:
        self._file = file
        self._target = target.rstrip("/")
        self._cohorts = cohorts
        self._metrics = metrics
        self._busy_above = busy_above
        self._core: Core | None = None
        self._share = 0.0
        self._queue: deque[Kept] = deque()
        # Appending is atomic, unlike counting.
        self._overflow: deque[None] = deque()
        self._ripe = 0  # those of the queue that were in it a tick ago
        self._flying: set[asyncio.Task[None]] = set()
        self._mark = Mark("", 0)
        self._stopped = Event()
        self._thread: Thread | None = None

    @classmethod
    def of(cls, given: settings.Settings, cohorts: Cohorts, metrics: Metrics) -> "Shadow | None":
        """As the settings say; None where they say that this process copies nothing."""
        file, target = given.shadow.file, given.shadow.target
        if file is None or target is None or given.track == "canary":
            return None
        plans = SecretFile(file, _parse, SETTING, fallback=Plan())
        return cls(plans, target, cohorts=cohorts, metrics=metrics, busy_above=given.limit.in_flight // 4)

    def start(self, core: Core) -> None:
        """Copy what this core answers; nothing without a key that the other version has as well."""
        self._core = core
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Copy no more, and wait for what is in flight for a moment."""
        self._share = 0.0
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(1)

    def offer(self, prediction: Prediction) -> None:
        """Draw a user's request or not; called when it is answered, on its path, from any thread."""
        if self._share and random() < self._share:  # noqa: S311  no secret
            if len(self._queue) >= QUEUE or self._core is None:
                self._overflow.append(None)
                return
            try:
                self._queue.append(keep(self._core, prediction))
            # The user was answered, and must not hear of a bug here.
            except Exception:
                log.exception("an answer could not be kept for a copy")

    # In the thread

    async def _run(self) -> None:
        try:
            await self._go_on()
        finally:
            # Nobody takes from the queue any more.
            self._share = 0.0

    async def _go_on(self) -> None:
        session: aiohttp.ClientSession | None = None
        said_why = False
        while not self._stopped.is_set():
            plan = self._file.get()
            signed = self._core is not None and self._core.ids.shared
            if plan.share and not signed and not said_why:
                log.warning(
                    "Nothing is copied though %s says so: without PDX_IDS_KEYS_FILE the other version would take the "
                    "copies for users' requests.",
                    SETTING,
                )
                said_why = True
            self._share = plan.share if signed else 0.0
            if self._share or self._queue or self._overflow or self._flying:
                session = session or _connect()
                await asyncio.sleep(TICK_SECONDS)
                self._tick(session, plan)
            else:
                if session is not None:
                    await session.close()
                    session = None
                await asyncio.sleep(_IDLE_SECONDS)
        for task in self._flying:
            task.cancel()
        if session is not None:
            await session.close()

    def _tick(self, session: "aiohttp.ClientSession", plan: Plan) -> None:
        """Start copies of what is ripe."""
        if self._overflow:
            self._drop("queue", len(self._overflow), self._overflow)
        if self._queue and self._metrics.in_flight() > self._busy_above:
            self._drop("busy", len(self._queue), self._queue)
            self._ripe = 0
        for _ in range(min(self._ripe, plan.concurrency - len(self._flying))):
            task = asyncio.create_task(self._copy(session, self._queue.popleft(), plan.timeout_seconds))
            self._flying.add(task)
            task.add_done_callback(self._flying.discard)
        self._ripe = len(self._queue)

    def _drop(self, reason: str, number: int, waiting: deque[None] | deque[Kept]) -> None:
        for _ in range(number):
            waiting.popleft()
        self._metrics.shadow_drop(reason, number)

    async def _copy(self, session: "aiohttp.ClientSession", kept: Kept, seconds: float) -> None:
        try:
            observation = observe(kept)
            async with asyncio.timeout(seconds):
                status, body = await self._ask(session, observation)
            if status == HTTPStatus.OK:
                self._compare(observation, body)
            else:
                # Ours, asked too much or not ready, says 503.
                self._metrics.shadow_drop("refused" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed")
        except TimeoutError:
            self._metrics.shadow_drop("timeout")
        # Whatever another version does, or a bug here: nobody waits for a copy, and the next one has to be made.
        except Exception:
            log.debug("a copy failed", exc_info=True)
            self._metrics.shadow_drop("failed")

    async def _ask(self, session: "aiohttp.ClientSession", observation: Observation) -> tuple[int, bytes]:
        assert self._core is not None  # noqa: S101  for the type checker: there since ``start``
        path, document = question(self._core, observation)
        headers = {"content-type": "application/json", HEADER: self._signed()}
        if random() < RENEW:  # noqa: S311  no secret
            headers["connection"] = "close"
        url = self._target + path
        async with session.post(url, data=document, headers=headers, allow_redirects=False) as answer:
            body = b""
            # Of a chunked answer nothing says beforehand how long it is.
            async for part in answer.content.iter_any():
                body += part
                if len(body) > _LONGEST_ANSWER:
                    raise ValueError("the answer is too long")
            return answer.status, body

    def _compare(self, observation: Observation, body: bytes) -> None:
        assert self._core is not None  # noqa: S101  for the type checker: there since ``start``
        other = said(self._core, observation, body)
        difference = other.score - observation.score
        if not isfinite(difference):
            raise ValueError("a score is no number, and would make the sum none for ever")
        self._metrics.shadow_pair(other.version, flipped=other.label != observation.label, difference=difference)

    def _signed(self) -> str:
        if self._mark.expires - time() < LIFE_SECONDS / 2:
            self._mark = self._cohorts.make("shadow")
        return self._mark.text


def _connect() -> "aiohttp.ClientSession":
    # Eight MiB, and half a second on a busy machine, that only a rollout needs.
    import aiohttp  # noqa: PLC0415

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _parse(text: str) -> Plan:
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise SettingsError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
