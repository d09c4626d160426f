"""Gates behind an encoder: an embedding goes through unchanged, or is answered by another one."""

from redact_core.gates.fit import GateSettings, answers_that_stay, fit_gate
from redact_core.gates.gate import Gate, gate_like
from redact_core.gates.gated import GatedEncoder, around_gates
from redact_core.gates.gating import Gating
from redact_core.gates.sharing import share_of, shared
from redact_core.gates.unit_gating import UnitGating
from redact_core.gates.units import Units, UnitSettings, fit_units

__all__ = [
    "Gate",
    "GateSettings",
    "GatedEncoder",
    "Gating",
    "UnitGating",
    "UnitSettings",
    "Units",
    "answers_that_stay",
    "around_gates",
    "fit_gate",
    "fit_units",
    "gate_like",
    "share_of",
    "shared",
]
