"""Gates behind an encoder: an embedding goes through unchanged, or is answered by another one."""

from redact_core.gates.fit import GateSettings, answers_that_stay, fit_gate
from redact_core.gates.gate import Gate, gate_like
from redact_core.gates.gated import GatedEncoder, around_gates
from redact_core.gates.gating import Gating

__all__ = [
    "Gate",
    "GateSettings",
    "GatedEncoder",
    "Gating",
    "answers_that_stay",
    "around_gates",
    "fit_gate",
    "gate_like",
]
