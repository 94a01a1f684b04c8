"""What an inference request asks for: its tensors, the outputs it wants and how, and its parameters."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bentos.errors import InvalidInput
from bentos.oip import binary, json
from bentos.oip.checks import read_head, refused, shown
from bentos.tensor import Tensor, TensorSpec

_MICROSECOND: Final = 1e-6
_KEYS: Final = 4
"""Keys that a tensor in JSON has at least: name, shape, datatype, data."""
_UNSUPPORTED: Final = ("classification", "shared_memory_region")
"""Parameters of extensions that the metadata does not name; to overlook them would be to answer something else."""


class Asked(NamedTuple):
    """A request, read.

    Attributes:
        tensors: its inputs.
        ident: its own id, echoed; None for none.
        ids: whether each row gets a prediction id; None where it does not say.
        timeout: seconds from the request's start after which nobody waits for the answer; None for no such time.
        wanted: places of the outputs that are answered and whether each is binary; None for all, as JSON.
    """

    tensors: list[Tensor]
    ident: str | None = None
    ids: bool | None = None
    timeout: float | None = None
    wanted: list[tuple[int, bool]] | None = None


class Reader:
    """Reads requests for one model.

    Args:
        inputs: the tensors it takes.
        outputs: the tensors it answers.
        most_rows: rows that one request may have.
        nesting: levels of arrays and objects that a request may have.
    """

    def __init__(
        self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], most_rows: int, nesting: int
    ) -> None:
        self._nesting = nesting
        self._most_inputs = len(inputs)
        self._most_values = most_rows * max(spec.shape[-1] for spec in inputs)
        self._outputs = {spec.name: place for place, spec in enumerate(outputs)}

    def read(self, body: bytes, announced: bytes | None) -> Asked:
        """Read a body.

        Args:
            body: unpacked.
            announced: the header ``Inference-Header-Content-Length``; without it, all of the body is JSON.

        Raises:
            RequestError: it is not what the protocol says.
        """
        if announced is None:
            end, text = len(body), body
        else:
            end = binary.text_length(announced, body)
            text = body[:end]
        request = json.document(text, self._nesting)
        inputs = request.get("inputs")
        if type(inputs) is not list or not inputs:
            raise InvalidInput("The request needs inputs, a list of tensors.", [{"field": "inputs"}])
        if len(inputs) > self._most_inputs:
            raise InvalidInput(f"The request has {len(inputs)} inputs, and the model takes {self._most_inputs}.")
        first = inputs[0]
        if len(request) == len(inputs) == 1 and announced is None and type(first) is dict and len(first) == _KEYS:
            usual = self._usual(first, body)
            if usual is not None:
                return Asked([usual])
        # What is read here is checked value by value; other keys may hold anything.
        json.check_nesting(text, self._nesting)
        tensors = []
        for given in inputs:
            tensor, end = self._tensor(given, body, end)
            tensors.append(tensor)
        binary.check_end(end, body)
        return self._asked(request, tensors)

    def _usual(self, given: dict[str, Any], text: bytes) -> Tensor | None:
        """The usual tensor, numbers in one flat list; None for any other, and for a faulty one, read the long way."""
        name, shape, data = given.get("name"), given.get("shape"), given.get("data")
        if given.get("datatype") != "FP32" or type(name) is not str or type(shape) is not list or len(shape) != 2:
            return None
        rows, columns = shape
        if type(rows) is not int or type(columns) is not int or type(data) is not list:
            return None
        if not 0 < len(data) == rows * columns <= self._most_values or rows < 0 or not json.only_numbers(text):
            return None
        values = json.packed(data)
        return None if values is None else Tensor(name, "FP32", values.reshape(rows, columns))

    def _tensor(self, given: Any, body: bytes, start: int) -> tuple[Tensor, int]:
        """A tensor and where its bytes end."""
        head = read_head(given, self._most_values)
        parameters = _object(given, "parameters")
        if "binary_data_size" not in parameters:
            refuse_unsupported(parameters, f"The tensor {shown(head.name)}")
            data = json.values(head, given.get("data"), self._nesting)
            return Tensor(head.name, head.datatype, data), start
        if "data" in given:
            raise refused(head.name, "has both data and binary_data_size")
        size = binary.size_of(head.name, parameters["binary_data_size"], start, body)
        return Tensor(head.name, head.datatype, binary.values(head, body, start, size)), start + size

    def _asked(self, request: dict[str, Any], tensors: list[Tensor]) -> Asked:
        ident = request.get("id")
        if ident is not None and type(ident) is not str:
            raise InvalidInput("The id of a request is a string.", [{"field": "id"}])
        parameters = _object(request, "parameters")
        all_binary = _flag(parameters, "binary_data_output") or False
        outputs = request.get("outputs")
        wanted = None
        if outputs is not None and outputs != []:
            wanted = self._wanted(outputs, all_binary)
        elif all_binary:
            wanted = [(place, True) for place in self._outputs.values()]
        return Asked(tensors, ident, _flag(parameters, "prediction_ids"), _timeout(parameters), wanted)

    def _wanted(self, outputs: Any, all_binary: bool) -> list[tuple[int, bool]]:
        if type(outputs) is not list:
            raise InvalidInput("The outputs of a request are a list.", [{"field": "outputs"}])
        wanted: dict[int, bool] = {}
        for output in outputs:
            name = output.get("name") if type(output) is dict else None
            if type(name) is not str:
                raise InvalidInput("An output is a JSON object with a name.", [{"field": "outputs"}])
            if name not in self._outputs:
                known = ", ".join(self._outputs)
                problem = f"The model answers no tensor {shown(name)}; it answers {known}."
                raise InvalidInput(problem, [{"tensor": shown(name)}])
            if self._outputs[name] in wanted:
                raise InvalidInput(f"The output {name} is asked for twice.", [{"tensor": name}])
            parameters = _object(output, "parameters")
            refuse_unsupported(parameters, f"The output {name}")
            asked = _flag(parameters, "binary_data")
            wanted[self._outputs[name]] = all_binary if asked is None else asked
        return list(wanted.items())


def _object(given: dict[str, Any], key: str) -> dict[str, Any]:
    found = given.get(key)
    if found is None:
        return {}
    if type(found) is not dict:
        raise InvalidInput(f"{key} must be a JSON object.", [{"field": key}])
    return found


def refuse_unsupported(parameters: dict[str, Any], whose: str) -> None:
    """Raise InvalidInput where parameters of extensions that the metadata does not name ask for something."""
    for name in _UNSUPPORTED if parameters else ():
        if parameters.get(name):
            raise InvalidInput(f"{whose} asks for {name}, which this server does not do.", [{"parameter": name}])


def _flag(parameters: dict[str, Any], name: str) -> bool | None:
    found = parameters.get(name)
    if found is not None and type(found) is not bool:
        raise InvalidInput(f"The parameter {name} is true or false.", [{"parameter": name}])
    return found


def _timeout(parameters: dict[str, Any]) -> float | None:
    """In seconds; zero means none, as for the clients that send it."""
    found = parameters.get("timeout")
    if found is not None and (type(found) is not int or found < 0):
        raise InvalidInput("The parameter timeout is a number of microseconds.", [{"parameter": "timeout"}])
    return found * _MICROSECOND if found else None
