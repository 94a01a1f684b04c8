"""What people read, whatever pods and helm have said."""

from rich.console import Console

from k8s.rollout import plan, show
from k8s.rollout.plan import Image, Shape
from k8s.rollout.record import Record, Step


def test_what_a_pod_said_is_no_markup() -> None:
    revisions = plan.make(Shape(Image("a", "v2"), steps=(5, 50), size=3, shadow=0.1))
    record = Record("battle", 2, "a:v2", "a:v1", {"interval": 15}, revisions, before=7, current=8, place=0)
    said = "The new version does not run: no file [/models/x.json]"
    record.steps.append(Step("canary up", 0, 8, sentence=said))
    record.state, record.sentence = "rolled back", said
    console = Console(width=300)
    with console.capture() as captured:
        console.print(show.state(record, None, None))
        console.print(show.listed([record]))
    assert captured.get().count("[/models/x.json]") == 3
