"""The model card of a tabular model, after Mitchell et al. (2019), made from its contract alone."""

from bentos.contract import Column, Contract, MissingRule

_TEMPLATE = """\
# {name} {version}

{algorithm}, a model of the task {task} on {count} columns{classes}.

## Columns

| column | data type | unit | accepted | missing values |
| --- | --- | --- | --- | --- |
{columns}

## How it is served

{served} Its runtimes were compared with the fitted model on {rows:,} rows; the largest difference was {gap:.1e}.

## Figures

{metrics}

## Where it comes from

Run `{run}`, git commit `{commit}`, {sample:,} sample rows with the digest `{digest}`, {libraries}.
"""


def _accepted(column: Column) -> str:
    if column.range is not None:
        return f"{column.range[0]:g} to {column.range[1]:g}"
    if column.categories is not None:
        shown = ", ".join(column.categories[:10])
        return shown if len(column.categories) <= 10 else f"{shown} and {len(column.categories) - 10} more"
    return "any"


def card(contract: Contract) -> str:
    """Markdown, ending in a newline."""
    source = contract.provenance
    switch = contract.runtime.crossover_rows
    lines = [
        [c.name, c.dtype, c.unit or "", _accepted(c), "taken" if c.missing is MissingRule.NAN else "refused"]
        for c in contract.columns
    ]
    return _TEMPLATE.format(
        name=contract.name,
        version=contract.version,
        algorithm=source.algorithm,
        task=contract.task,
        count=len(contract.columns),
        classes=f", with the classes {', '.join(contract.classes)}" if contract.classes else "",
        columns="\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines),
        served="ONNX Runtime serves every batch."
        if switch is None
        else f"ONNX Runtime serves batches below {switch} rows, XGBoost larger ones.",
        rows=contract.parity.compared_rows,
        gap=contract.parity.max_difference,
        metrics="\n".join(f"- {key}: {value:.6g}" for key, value in sorted(contract.metrics.items())) or "None given.",
        run=source.run_id,
        commit=source.git_commit,
        sample=source.dataset_rows,
        digest=source.dataset_digest,
        libraries=", ".join(f"{key} {value}" for key, value in sorted(source.libraries.items())),
    )
