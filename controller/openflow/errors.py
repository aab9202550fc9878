"""A switch's OpenFlow errors as text."""

from __future__ import annotations

from typing import Any

from helsewan.controller.framework import ofproto_v1_3

_of: Any = ofproto_v1_3
_BUNDLE_FAILED = 0xFFFF  # experimenter error type: bundle errors of ONF extension 230

_TEXTS: dict[tuple[int, int], str] = {
    (_of.OFPET_BAD_ACTION, _of.OFPBAC_BAD_TYPE): "an action that the switch does not support",
    (_of.OFPET_BAD_ACTION, _of.OFPBAC_BAD_OUT_PORT): "output to an invalid port",
    (_of.OFPET_BAD_ACTION, _of.OFPBAC_BAD_OUT_GROUP): "output to a group that does not exist",
    (_of.OFPET_BAD_ACTION, _of.OFPBAC_TOO_MANY): "too many actions",
    (_of.OFPET_BAD_MATCH, _of.OFPBMC_BAD_FIELD): "a field that the switch cannot match",
    (_of.OFPET_BAD_MATCH, _of.OFPBMC_BAD_PREREQ): "a field is matched without its prerequisite",
    (_of.OFPET_BAD_INSTRUCTION, _of.OFPBIC_UNSUP_INST): "an instruction that the switch does not support",
    (_of.OFPET_FLOW_MOD_FAILED, _of.OFPFMFC_TABLE_FULL): "the table is full",
    (_of.OFPET_FLOW_MOD_FAILED, _of.OFPFMFC_BAD_TABLE_ID): "the table does not exist",
    (_of.OFPET_FLOW_MOD_FAILED, _of.OFPFMFC_EPERM): "not permitted, perhaps by another controller",
    (_of.OFPET_GROUP_MOD_FAILED, _of.OFPGMFC_GROUP_EXISTS): "the group exists already",
    (_of.OFPET_GROUP_MOD_FAILED, _of.OFPGMFC_OUT_OF_GROUPS): "the group table is full",
    (_of.OFPET_GROUP_MOD_FAILED, _of.OFPGMFC_UNKNOWN_GROUP): "the group does not exist",
    (_of.OFPET_METER_MOD_FAILED, _of.OFPMMFC_OUT_OF_METERS): "the meter table is full",
    (_of.OFPET_METER_MOD_FAILED, _of.OFPMMFC_UNKNOWN_METER): "the meter does not exist",
    (_of.OFPET_BAD_REQUEST, _of.OFPBRC_IS_SLAVE): "another controller is the master",
    (_of.OFPET_ROLE_REQUEST_FAILED, _of.OFPRRFC_STALE): "another controller became master with a later generation",
}


_NOT_MASTER = frozenset(
    {(_of.OFPET_BAD_REQUEST, _of.OFPBRC_IS_SLAVE), (_of.OFPET_ROLE_REQUEST_FAILED, _of.OFPRRFC_STALE)}
)


def is_not_master(kind: int, code: int) -> bool:
    """Whether an error type and code mean that another controller is the switch's master."""
    return (kind, code) in _NOT_MASTER


def error_text(kind: int, code: int) -> str:
    """An error type and code as text, with both numbers."""
    text = _TEXTS.get((kind, code), "the bundle failed" if kind == _BUNDLE_FAILED else "refused")
    return f"{text} (error type {kind} code {code})"
