"""A switch's entries as JSON, a plain object each, and back.

    {"flow": {"table": "admit", "priority": 300, "match": {"in_port": 1, "ipv4_src": "10.0.0.0/255.255.255.0"},
              "actions": ["pop_vlan", {"set_field": {"mpls_label": 1004}}, {"group": 24}], "goto": "route",
              "metadata": "0x1/0xff", "meter": 7, "cookie": "0x100000000000000"}}
    {"group": {"id": 24, "buckets": [{"watch_port": 2, "actions": ["push_mpls", {"output": 2}]}]}}
    {"meter": {"id": 7, "rate_kbps": 800, "burst_kbit": 80}}
    {"port": {"number": 2, "config": ["no_receive"], "state": ["live"]}}

Empty parts are left out. Numbers of 64 bits are text, since many JSON parsers cannot represent them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from helsewan.common.schema_errors import nearest
from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    PORT_CONFIG,
    PORT_STATE,
    TLV,
    Action,
    AnyMeter,
    Bucket,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    Entry,
    FlowRule,
    Foreign,
    Group,
    GroupRule,
    Load,
    Match,
    MeterRule,
    Move,
    Output,
    PacketMeterRule,
    PopMpls,
    PopVlan,
    Port,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.verification.dump import fields

Path = tuple[str | int, ...]
_MAX32, _MAX64, _LAST_TABLE = (1 << 32) - 1, (1 << 64) - 1, 254
_PORTS = {"in_port": IN_PORT, "controller": CONTROLLER}
_PORT_NAMES = {number: name for name, number in _PORTS.items()}
_TIMEOUTS = ("idle_timeout_s", "hard_timeout_s")
_TABLES = {table.name.lower(): table for table in Table}
_PLAIN: dict[str, Action] = {
    "push_vlan": PushVlan(),
    "pop_vlan": PopVlan(),
    "push_mpls": PushMpls(),
    "dec_ttl": DecTtl(),
    "dec_mpls_ttl": DecMplsTtl(),
}
_PLAIN_NAMES = {action: name for name, action in _PLAIN.items()}
_TLV_KEY = re.compile(rf"{TLV}(\.[0-9]+)?")  # a second one is tlv.2, since keys are unique
_HEX_BYTES = re.compile(r"([0-9a-f]{2})*")
_HEX = re.compile(r"0x[0-9a-f]{1,16}")


class EntryError(Exception):
    """An invalid part of an entry: its path in the entry, the value, the reason, and a hint."""

    def __init__(self, path: Path, value: object, reason: str, hint: str = "") -> None:
        self.path, self.value, self.reason, self.hint = path, value, reason, hint
        super().__init__(reason)


def to_json(entry: Entry | Port) -> dict[str, Any]:
    """An entry or a port as an object whose one key is its kind: flow, group, meter or port."""
    match entry:
        case Port(number, config, state):
            return {"port": {"number": number, "config": list(config), "state": list(state)}}
        case FlowRule():
            return {"flow": _flow(entry)}
        case GroupRule(number, buckets):
            shown = [{"watch_port": each.watch_port, "actions": [*map(_action, each.actions)]} for each in buckets]
            return {"group": {"id": number, "buckets": shown}}
        case MeterRule(number, rate, burst):
            return {"meter": {"id": number, "rate_kbps": rate, "burst_kbit": burst}}
        case PacketMeterRule(number, rate, burst):
            return {"meter": {"id": number, "rate_pps": rate, "burst_packets": burst}}


def from_json(data: Mapping[str, Any]) -> Entry | Port:
    """The entry or port of an object in the format of `to_json`. Raises EntryError."""
    kind, body = _only(data, (), _READERS, "entry")
    return _READERS[kind](body, (kind,))


def _flow(rule: FlowRule) -> dict[str, Any]:
    shown: dict[str, Any] = {"table": _table_name(rule.table), "priority": rule.priority, "match": _match(rule.match)}
    if rule.actions:
        shown["actions"] = [*map(_action, rule.actions)]
    if rule.metadata is not None:
        shown["metadata"] = f"{rule.metadata[0]:#x}/{rule.metadata[1]:#x}"
    if rule.meter is not None:
        shown["meter"] = rule.meter
    if rule.goto is not None:
        shown["goto"] = _table_name(rule.goto)
    timeouts = {key: getattr(rule, key) for key in _TIMEOUTS if getattr(rule, key)}
    return {**shown, **timeouts, "cookie": f"{rule.cookie:#x}"}


def _match(match: Match) -> dict[str, int | str]:
    shown: dict[str, int | str] = {}
    for name, value in match:
        if name == TLV:
            count = sum(key.startswith(TLV) for key in shown)
            shown[f"{TLV}.{count + 1}" if count else TLV] = str(value)
        else:
            shown[name] = fields.show(name, value)
    return shown


def _action(action: Action) -> object:
    match action:
        case Output(port):
            return {"output": _PORT_NAMES.get(port, port)}
        case SetField(name, value):
            return {"set_field": {name: fields.show(name, value)}}
        case Load(name, value, bits):
            return {"load": {"field": name, "value": value, "bits": bits}}
        case Move(source, destination, bits, at, to):
            shown = {"from": source, "to": destination, "bits": bits}
            return {"move": shown | ({"from_bit": at} if at else {}) | ({"to_bit": to} if to else {})}
        case PopMpls(eth_type):
            return {"pop_mpls": f"{eth_type:#x}"}
        case CheckLarger(frame_bytes, register):
            return {"check_larger": {"frame_bytes": frame_bytes, "register": register}}
        case Group(number):
            return {"group": number}
        case Resubmit(table):
            return {"resubmit": _table_name(table)}
        case Foreign(what):
            return {"foreign": what}
    return _PLAIN_NAMES[action]


def _table_name(table: Table) -> str | int:
    name = table.name.lower()
    return name if name in _TABLES else int(table)


def _read_flow(data: object, path: Path) -> FlowRule:
    optional = ("actions", "metadata", "meter", "goto", *_TIMEOUTS)
    body = _object(data, path, ("table", "priority", "match", "cookie"), optional)
    table = _read_table(body["table"], (*path, "table"))
    goto = _read_table(body["goto"], (*path, "goto")) if "goto" in body else None
    if goto is not None and goto <= table:
        raise EntryError(
            (*path, "goto"), body["goto"], "is not a later table", "OpenFlow 1.3.5, 5.1 allows later tables only"
        )
    return FlowRule(
        table,
        _read_number(body["priority"], (*path, "priority"), 0xFFFF),
        _read_match(body["match"], (*path, "match")),
        _read_actions(body.get("actions", []), (*path, "actions")),
        goto,
        _read_metadata(body["metadata"], (*path, "metadata")) if "metadata" in body else None,
        _read_number(body["meter"], (*path, "meter"), _MAX32) if "meter" in body else None,
        _read_number(body["cookie"], (*path, "cookie"), _MAX64),
        *(_read_number(body.get(key, 0), (*path, key), 0xFFFF) for key in _TIMEOUTS),
    )


def _read_group(data: object, path: Path) -> GroupRule:
    body = _object(data, path, ("id", "buckets"))
    buckets = []
    for number, each in enumerate(_list(body["buckets"], (*path, "buckets"))):
        bucket_path = (*path, "buckets", number)
        bucket = _object(each, bucket_path, ("watch_port", "actions"))
        watched = _read_number(bucket["watch_port"], (*bucket_path, "watch_port"), _MAX32)
        buckets.append(Bucket(watched, _read_actions(bucket["actions"], (*bucket_path, "actions"))))
    return GroupRule(_read_number(body["id"], (*path, "id"), _MAX32), tuple(buckets))


def _read_meter(data: object, path: Path) -> AnyMeter:
    per_packet = isinstance(data, dict) and "rate_pps" in data
    keys = ("id", "rate_pps", "burst_packets") if per_packet else ("id", "rate_kbps", "burst_kbit")
    body = _object(data, path, keys)
    numbers = (_read_number(body[key], (*path, key), _MAX32) for key in keys)
    return PacketMeterRule(*numbers) if per_packet else MeterRule(*numbers)


def _read_port(data: object, path: Path) -> Port:
    body = _object(data, path, ("number", "config", "state"))
    number = _read_number(body["number"], (*path, "number"), _MAX32)
    return Port(
        number,
        _read_bits(body["config"], (*path, "config"), PORT_CONFIG),
        _read_bits(body["state"], (*path, "state"), PORT_STATE),
    )


def _read_bits(data: object, path: Path, names: Collection[str]) -> tuple[str, ...]:
    """Names of bits; those without a name as hex."""
    found = _list(data, path)
    for number, each in enumerate(found):
        if not isinstance(each, str) or not (each in names or _HEX.fullmatch(each)):
            raise EntryError((*path, number), each, "is no such bit", f"one of {', '.join(names)}")
    return tuple(found)


_READERS: dict[str, Callable[[object, Path], Entry | Port]] = {
    "flow": _read_flow,
    "group": _read_group,
    "meter": _read_meter,
    "port": _read_port,
}


def _read_match(data: object, path: Path) -> Match:
    if not isinstance(data, dict):
        raise EntryError(path, data, "should be a map of fields to values")
    return tuple([_read_field(name, value, path) for name, value in data.items()])


def _read_field(name: str, value: object, path: Path) -> tuple[str, Any]:
    if _TLV_KEY.fullmatch(name):
        return TLV, _read_hex(value, (*path, name))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise EntryError((*path, name), value, "should be a number or text")
    try:
        return name, fields.parse(name, value)
    except KeyError:
        raise EntryError((*path, name), None, "is no field", nearest(name, fields.names())) from None
    except fields.FieldError as error:
        raise EntryError((*path, name), value, error.reason, error.hint) from None


def _read_actions(data: object, path: Path) -> tuple[Action, ...]:
    return tuple([_read_action(each, (*path, number)) for number, each in enumerate(_list(data, path))])


def _read_action(data: object, path: Path) -> Action:
    if isinstance(data, str):
        if data not in _PLAIN:
            raise EntryError(path, data, "is no action", nearest(data, [*_PLAIN, *_ACTIONS]))
        return _PLAIN[data]
    kind, body = _only(data, path, _ACTIONS, "action")
    return _ACTIONS[kind](body, (*path, kind))


def _read_output(data: object, path: Path) -> Action:
    return Output(_PORTS[data] if isinstance(data, str) and data in _PORTS else _read_number(data, path, _MAX32))


def _read_set_field(data: object, path: Path) -> Action:
    name, text = _only(data, path, fields.names(), "field")
    _, value = _read_field(name, text, path)
    if isinstance(value, tuple):
        raise EntryError(
            (*path, name), text, "has a mask", "set_field sets the whole field; use load or move for a part of it"
        )
    return SetField(name, value)


def _read_load(data: object, path: Path) -> Action:
    body = _object(data, path, ("field", "value", "bits"))
    name = _read_name(body["field"], (*path, "field"))
    bits = _read_number(body["bits"], (*path, "bits"), min(64, fields.bits(name)), minimum=1)
    return Load(name, _read_number(body["value"], (*path, "value"), (1 << bits) - 1), bits)


def _read_move(data: object, path: Path) -> Action:
    body = _object(data, path, ("from", "to", "bits"), ("from_bit", "to_bit"))
    names, starts = [], []
    bits = _read_number(body["bits"], (*path, "bits"), 0xFFFF, minimum=1)
    for end in ("from", "to"):
        names.append(_read_name(body[end], (*path, end)))
        starts.append(_read_number(body.get(f"{end}_bit", 0), (*path, f"{end}_bit"), 0xFFFF))
        if starts[-1] + bits > fields.bits(names[-1]):
            raise EntryError((*path, "bits"), body["bits"], f"do not fit into {names[-1]}")
    return Move(names[0], names[1], bits, starts[0], starts[1])


def _read_check_larger(data: object, path: Path) -> Action:
    body = _object(data, path, ("frame_bytes", "register"))
    frame_bytes = _read_number(body["frame_bytes"], (*path, "frame_bytes"), 0xFFFF)
    return CheckLarger(frame_bytes, _read_name(body["register"], (*path, "register")))


def _read_foreign(data: object, path: Path) -> Action:
    if not isinstance(data, str):
        raise EntryError(path, data, "should be text")
    return Foreign(data)


_ACTIONS: dict[str, Callable[[object, Path], Action]] = {
    "output": _read_output,
    "set_field": _read_set_field,
    "load": _read_load,
    "move": _read_move,
    "pop_mpls": lambda data, path: PopMpls(_read_number(data, path, 0xFFFF)),
    "check_larger": _read_check_larger,
    "group": lambda data, path: Group(_read_number(data, path, _MAX32)),
    "resubmit": lambda data, path: Resubmit(_read_table(data, path)),
    "foreign": _read_foreign,
}


def _read_name(data: object, path: Path) -> str:
    if not isinstance(data, str) or data not in fields.names():
        raise EntryError(path, data, "is no field", nearest(data, fields.names()) if isinstance(data, str) else "")
    return data


def _read_table(data: object, path: Path) -> Table:
    if isinstance(data, str):
        if data not in _TABLES:
            raise EntryError(path, data, "is no table", nearest(data, _TABLES))
        return _TABLES[data]
    return Table(_read_number(data, path, _LAST_TABLE))


def _read_metadata(data: object, path: Path) -> tuple[int, int]:
    parts = data.split("/") if isinstance(data, str) else []
    if len(parts) != 2:
        raise EntryError(path, data, "should be value/mask in hex", 'for example "0x1/0xff"')
    value, mask = (_read_number(part, path, _MAX64) for part in parts)
    if value & ~mask:
        raise EntryError(path, data, "has bits outside its mask", "clear them, or widen the mask")
    return value, mask


def _read_number(data: object, path: Path, maximum: int, minimum: int = 0) -> int:
    if isinstance(data, str) and _HEX.fullmatch(data):
        data = int(data, 16)
    if isinstance(data, bool) or not isinstance(data, int):
        raise EntryError(path, data, "should be a whole number", "in decimal, or as 0x… in quotes")
    if not minimum <= data <= maximum:
        raise EntryError(path, data, f"is not from {minimum} to {maximum}")
    return data


def _read_hex(data: object, path: Path) -> str:
    if not isinstance(data, str) or not _HEX_BYTES.fullmatch(data):
        raise EntryError(path, data, "should be bytes in hex")
    return data


def _list(data: object, path: Path) -> list[Any]:
    if not isinstance(data, list):
        raise EntryError(path, data, "should be a list")
    return data


def _object(data: object, path: Path, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """A map with all ``required`` keys, and no others but ``optional`` ones. Raises EntryError."""
    if not isinstance(data, dict):
        raise EntryError(path, data, "should be a map of keys to values")
    for key in data:
        if key not in required and key not in optional:
            raise EntryError((*path, key), None, "unknown key", nearest(key, [*required, *optional]))
    for key in required:
        if key not in data:
            raise EntryError((*path, key), None, "is missing", f"add {key}")
    return data


def _only(data: object, path: Path, known: Collection[str], what: str) -> tuple[str, Any]:
    """The only key of a map, and its value. Raises EntryError if it is not in ``known``."""
    if not isinstance(data, dict) or len(data) != 1:
        raise EntryError(
            path, data, f"should be one {what}", f"a map of one key: {nearest('', known)}" if len(known) < 20 else ""
        )
    ((key, value),) = data.items()
    if key not in known:
        raise EntryError((*path, key), None, f"is no {what}", nearest(key, known))
    return key, value
