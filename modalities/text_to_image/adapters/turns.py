"""Threads take turns at what they share: a denoiser and its scheduler."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

_LOCKS: WeakKeyDictionary[object, threading.RLock] = WeakKeyDictionary()
_FINDING = threading.Lock()


def turn(shared: object) -> threading.RLock:
    """The lock of an object, the same one for every thread; a context that a thread may enter again.

    A pipeline keeps the state of a run in its scheduler and guards hook into its denoiser, so only one thread at a
    time may draw with it. On one device, two runs beside each other would take as long as one after the other.
    """
    with _FINDING:
        return _LOCKS.setdefault(shared, threading.RLock())
