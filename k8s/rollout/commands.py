"""Commands that move a rollout: ``start``, ``promote``, ``abort`` and ``resume``."""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from k8s.rollout import back, lease, plan, release, show
from k8s.rollout import chart as charts
from k8s.rollout.api import Api
from k8s.rollout.engine import Engine
from k8s.rollout.errors import Refused, RolledBack, RolloutError, Unreachable
from k8s.rollout.given import Context, Form, Kubeconfig, Namespace, Output, Program, Release, Voice, cluster, helm
from k8s.rollout.helm import Helm
from k8s.rollout.lease import Lease
from k8s.rollout.live import Live
from k8s.rollout.options import OnTimeout, Options
from k8s.rollout.prepare import prepare
from k8s.rollout.record import ROLLED_BACK, Record, Records
from k8s.rollout.work import Work

_ANSWER_S: Final = 180.0
"""Seconds until a driver at work has done what it was asked: it may be in the middle of a helm upgrade."""
_POLL_S: Final = 1.0


def start(
    name: Release,
    image: Annotated[str, typer.Option(help="The new image, with a tag or a digest.", show_default=False)],
    steps: Annotated[str, typer.Option(help="Percent of the requests, step by step.")] = ",".join(map(str, plan.STEPS)),
    interval: Annotated[float, typer.Option(help="Seconds between two looks at the counters.")] = Options.interval,
    warm_up: Annotated[
        int, typer.Option(help="Intervals after a step's begin that are no evidence.")
    ] = Options.warm_up,
    min_intervals: Annotated[
        int, typer.Option(help="Intervals of evidence that a step takes at least.")
    ] = Options.min_intervals,
    on_timeout: Annotated[
        OnTimeout, typer.Option(help="What becomes of it without a verdict, or without data.")
    ] = Options.on_timeout,
    max_minutes: Annotated[float, typer.Option(help="Minutes until the time is out.")] = Options.max_minutes,
    wait_minutes: Annotated[
        float, typer.Option(help="Minutes without data, or without a request, until the time is out.")
    ] = Options.wait_minutes,
    ready_minutes: Annotated[
        float, typer.Option(help="Minutes until pods that are not ready have failed.")
    ] = Options.ready_minutes,
    keep_minutes: Annotated[
        float, typer.Option(help="Minutes that a canary which was taken out is kept for a look.")
    ] = Options.keep_minutes,
    shadow: Annotated[
        float, typer.Option(help="Share of stable's requests that are copied to the canary, 0 to 1.")
    ] = Options.shadow,
    without_pairs: Annotated[
        bool, typer.Option("--without-pairs", help="Judge errors and times alone, not what the model says.")
    ] = False,
    prometheus: Annotated[
        str, typer.Option(help="URL, or NAMESPACE/SERVICE:PORT, of a Prometheus that scrapes the gateway.")
    ] = "",
    gateway: Annotated[str, typer.Option(help="How the gateway counts: traefik.")] = Options.gateway,
    values: Annotated[str, typer.Option(help="Values file of the deploy, which promotion writes the image into.")] = "",
    chart: Annotated[
        str | None, typer.Option(help="The chart, if it is to be compared with the release's own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    program: Program = None,
    output: Output = Form.TEXT,
) -> None:
    """Take a new image from a first share of the requests to all of them, or bring the old one back."""
    voice = Voice(output)
    api = cluster(kubeconfig, context, namespace)
    tool = helm(api, program, kubeconfig, context)
    options = Options(
        steps=plan.steps(_numbers(steps)), interval=interval, warm_up=warm_up, min_intervals=min_intervals,
        on_timeout=on_timeout, max_minutes=max_minutes, wait_minutes=wait_minutes, ready_minutes=ready_minutes,
        keep_minutes=keep_minutes, shadow=shadow, pairs=not without_pairs, prometheus=prometheus, gateway=gateway,
        values=values,
    )  # fmt: skip
    if dry_run:
        prepared = prepare(api, tool, name, image, options, given_chart=chart, say=voice.say)
        _dry_run(api, tool, prepared.record)
        voice.answer(show.as_json(prepared.record), show.planned(prepared))
        return
    with Lease(api, name) as held:
        prepared = prepare(api, tool, name, image, options, given_chart=chart, say=voice.say)
        if output is Form.TEXT:
            voice.answer(None, show.planned(prepared))
        records = Records(api, name)
        records.create(prepared.record)
        work = Work(api, tool, prepared.live, records, prepared.record, held, options, voice.say)
        records.event(prepared.record, "CanaryStarted", f"{prepared.record.image} begins as a canary.")
        _drive(work, voice, resumed=False)


def resume(
    name: Release,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    program: Program = None,
    output: Output = Form.TEXT,
) -> None:
    """Go on with a rollout that is held, or whose driver was killed."""
    _again(name, namespace, kubeconfig, context, program, Voice(output), by_hand=False)


def promote(
    name: Release,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    program: Program = None,
    output: Output = Form.TEXT,
) -> None:
    """Promote a held rollout without waiting for a verdict; what has failed stays out."""
    _again(name, namespace, kubeconfig, context, program, Voice(output), by_hand=True)


def abort(
    name: Release,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    program: Program = None,
    output: Output = Form.TEXT,
) -> None:
    """Take the new version out: a driver at work is asked to, and without one it is done here."""
    voice = Voice(output)
    api = cluster(kubeconfig, context, namespace)
    records = Records(api, name)
    record = records.newest()
    if not record.open and not record.kept_until:
        raise Refused(f"{record.name} has ended: {record.state}. {record.sentence}")
    looked_at = not record.open
    if lease.driver(api, name) is not None:
        records.ask(record, "abort")
        if _done_by_another(api, records, voice, looked_at=looked_at):
            record = records.newest()
            if record.state != ROLLED_BACK:
                raise Refused(f"{record.name} has ended: {record.state}. {record.sentence}")
            voice.answer(show.as_json(records.newest()), f"{record.name} is rolled back.")
            return
    tool = helm(api, program, kubeconfig, context)
    with Lease(api, name) as held:
        record = records.newest()
        work = _work(api, tool, records, record, held, voice)
        if record.open:
            back.abort(work, "A person asked for it (kubectl canary abort).")
        else:
            record.kept_until = time.time()  # the look is over
        records.ask(record, None)
        voice.say(f"{record.name} is rolled back; stable has all traffic.")
        back.clean(work)
    voice.answer(show.as_json(records.newest()), f"{record.name} is rolled back.")


def _done_by_another(api: Api, records: Records, voice: Voice, *, looked_at: bool) -> bool:
    """Wait for the driver at work; False where it has gone without doing it.

    With ``looked_at`` the new version is out already, and what is to end is the look at its pods.
    """
    voice.say("  the driver at work is asked")
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        refused = not records.asked(records.newest())
        record = records.newest()
        if not (record.kept_until if looked_at else record.open):
            return True
        if refused and not looked_at:
            raise Refused(f"The driver at work is past the point of going back: stable runs {record.image} already.")
        if lease.driver(api, record.release) is None:
            return False
        time.sleep(_POLL_S)
    raise Unreachable(f"The driver at work did not abort within {_ANSWER_S:g} s; `helm rollback` is the other way.")


def _again(
    name: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    program: str | None,
    voice: Voice,
    *,
    by_hand: bool,
) -> None:
    api = cluster(kubeconfig, context, namespace)
    tool = helm(api, program, kubeconfig, context)
    records = Records(api, name)
    with Lease(api, name) as held:
        record = records.newest()
        if not record.open and not record.kept_until:
            raise Refused(f"{record.name} has ended: {record.state}. {record.sentence}")
        if by_hand and (not record.open or record.aborting):
            raise Refused(f"{record.name} was taken out and cannot be promoted: {record.aborting or record.sentence}")
        record.by_hand = record.by_hand or by_hand
        _drive(_work(api, tool, records, record, held, voice), voice, resumed=True)


def _work(api: Api, tool: Helm, records: Records, record: Record, held: Lease, voice: Voice) -> Work:
    live = Live(api, record.release, release.newest(api, record.release).chart["metadata"]["name"])
    return Work(api, tool, live, records, record, held, Options.from_json(record.settings), voice.say)


def _drive(work: Work, voice: Voice, *, resumed: bool) -> None:
    try:
        Engine(work).run(resumed=resumed)
    except RolledBack:
        voice.answer(show.as_json(work.record), show.state(work.record, None, None))
        raise
    except RolloutError:
        if voice.form is Form.JSON:
            voice.answer(show.as_json(work.record), None)
        raise
    voice.answer(show.as_json(work.record), show.state(work.record, None, None))


def _dry_run(api: Api, tool: Helm, record: Record) -> None:
    with tempfile.TemporaryDirectory(prefix="kubectl-canary-") as folder:
        made = charts.write(release.newest(api, record.release).chart, Path(folder) / "chart")
        tool.dry_run(record.release, made, record.plan[0].values)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise Refused(f"--steps takes whole percents with commas between, and {text!r} is none.") from None
