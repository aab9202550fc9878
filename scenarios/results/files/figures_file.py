"""``figures.parquet``: the figures of each flow, exchange and group in each phase, a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec, TrafficPlan
from helsewan.scenarios.results.exchange_figures import ExchangeFigures, ExchangeMeasurement
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of
from helsewan.scenarios.results.groups import Grouped, Together
from helsewan.scenarios.results.measure import COLUMNS as COLUMNS_OF_FLOWS
from helsewan.scenarios.results.measure import Figures, Measurement
from helsewan.scenarios.spec.checks.metrics import METRICS
from helsewan.scenarios.spec.timeline.targets import Fate

FIGURES = "figures.parquet"
ROWS = 100_000  # of a row group
_TEXT = pa.dictionary(pa.int32(), pa.string())
_MEANINGS = {metric.field: f"{metric.meaning}, {metric.unit.value}" for metric in METRICS.values()}
_HEAD = (
    Column("level", _TEXT, "what the row is of: flow, exchange, class, service, entry or site"),
    Column("name", pa.string(), "its name", "PLAIN"),
    Column("phase", _TEXT, "the phase, run for the whole run"),
    Column("id", pa.uint32(), "a flow's or exchange's id; null: of a group", "DELTA_BINARY_PACKED", nullable=True),
    *(
        Column(name, _TEXT, f"{meaning}; null: of a group", nullable=True)
        for name, meaning in (
            ("class", "its class"),
            ("service", "the service that is used"),
            ("entry", "the entry of the traffic that it is of"),
            ("kind", "of a flow voice, video, probe and so on, of an exchange its application"),
            ("client", "the site that opens the service"),
            ("server", "the site that offers it"),
            ("source", "the site that sends; null also of an exchange"),
            ("expect", "delivered, or denied by the policy"),
            ("fate", "what the timeline's failures leave of it: surviving, access_hit or cut"),
        )
    ),
)


def _figure(name: str, type_: str) -> Column:
    nothing = "; null: nothing to take it from" if type_ == "float" else "; null: of other traffic"
    number = pa.float64() if type_ == "float" else pa.int64()
    return Column(name, number, _MEANINGS[name] + nothing, "PLAIN", nullable=True)


_FIGURES = tuple(_figure(one.name, str(one.type)) for kind in (Figures, ExchangeFigures) for one in fields(kind))
COLUMNS = (*_HEAD, *_FIGURES)


def write_figures(
    directory: Path,
    traffic: TrafficPlan,
    fates: Mapping[tuple[str, str], Fate],
    flows: Measurement,
    exchanges: ExchangeMeasurement,
    groups: Grouped,
) -> int:
    """Write ``figures.parquet``; returns the number of rows. Raises OSError."""
    with ParquetFile(directory / FIGURES, schema_of("figures", COLUMNS), COLUMNS) as file:
        for phase, number in flows.figures.phases.items():
            for first in range(0, len(traffic.flows), ROWS):
                file.write(_flow_rows(traffic.flows[first : first + ROWS], fates, flows, phase, number))
        keys = list(exchanges.figures)
        for first in range(0, len(keys), ROWS):
            rows = [_exchange_row(traffic.exchanges[id_], fates, phase) for id_, phase in keys[first : first + ROWS]]
            figures = [Together(None, exchanges.figures[key]) for key in keys[first : first + ROWS]]
            file.write(_columns(rows, figures))
        grouped = list(_group_rows(groups))
        for first in range(0, len(grouped), ROWS):
            part = grouped[first : first + ROWS]
            file.write(_columns([row for row, _ in part], [figures for _, figures in part]))
    return file.rows


def _flow_rows(
    flows: Sequence[FlowSpec],
    fates: Mapping[tuple[str, str], Fate],
    measured: Measurement,
    phase: str,
    number: int,
) -> dict[str, Any]:
    """The rows of flows in one phase, their figures taken from the measurement's columns."""
    rows = [{**_spec_row("flow", flow, fates, phase), "source": flow.source.site} for flow in flows]
    columns = _heads(rows)
    ids = [flow.id for flow in flows]
    for column in _FIGURES:
        if column.name in COLUMNS_OF_FLOWS:
            values = measured.figures.columns[column.name][number, ids]
            columns[column.name] = pa.array(values, column.type, mask=np.isnan(values))
        else:
            columns[column.name] = pa.nulls(len(flows), column.type)
    return columns


def _exchange_row(spec: ExchangeSpec, fates: Mapping[tuple[str, str], Fate], phase: str) -> dict[str, Any]:
    return _spec_row("exchange", spec, fates, phase)


def _spec_row(
    level: str, spec: FlowSpec | ExchangeSpec, fates: Mapping[tuple[str, str], Fate], phase: str
) -> dict[str, Any]:
    return {
        "level": level,
        "name": spec.name,
        "phase": phase,
        "id": spec.id,
        "class": spec.class_name,
        "service": spec.service,
        "entry": spec.entry,
        "kind": spec.kind.value if isinstance(spec, FlowSpec) else spec.kind,
        "client": spec.client,
        "server": spec.server,
        "expect": spec.expect.value,
        "fate": fates[spec.client, spec.server].value,
    }


def _group_rows(groups: Grouped) -> Iterator[tuple[dict[str, Any], Together]]:
    for level, members in groups.items():
        for name, phases in members.items():
            for phase, figures in phases.items():
                yield {"level": level.value, "name": name, "phase": phase}, figures


def _columns(rows: Sequence[Mapping[str, Any]], figures: Sequence[Together]) -> dict[str, Any]:
    columns = _heads(rows)
    for column in _FIGURES:
        of_flows = column.name in COLUMNS_OF_FLOWS
        values = [getattr(one.flows if of_flows else one.exchanges, column.name, None) for one in figures]
        columns[column.name] = pa.array(values, column.type, from_pandas=True)  # NaN is null
    return columns


def _heads(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    heads = {}
    for column in _HEAD:
        values = [row.get(column.name) for row in rows]
        if column.type == _TEXT:
            heads[column.name] = pa.array(values, pa.string()).dictionary_encode()
        else:
            heads[column.name] = pa.array(values, column.type)
    return heads
