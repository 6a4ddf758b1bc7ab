"""When a decision key counts: once its case has been on the screen for a moment, never if it was typed ahead."""

from __future__ import annotations

from collections.abc import Callable

QUIET_S = 0.25
"""Seconds between the painting of a case and the first key that may decide it."""


class Trigger:
    """Armed for one shown thing at a time. A key that comes too early, as a held key does, starts the wait anew."""

    def __init__(self, clock: Callable[[], float], quiet_s: float = QUIET_S) -> None:
        self._clock = clock
        self._quiet_s = quiet_s
        self._shown = ""
        self._armed_at: float | None = None

    def painted(self, shown: str) -> None:
        """`shown` names what is on the screen now, by its digest; painting the same again changes nothing."""
        if shown != self._shown or self._armed_at is None:
            self._shown = shown
            self._armed_at = self._clock() + self._quiet_s

    def disarm(self) -> None:
        self._armed_at = None

    @property
    def armed(self) -> bool:
        return self._armed_at is not None and self._clock() >= self._armed_at

    def pull(self, shown: str, waited_s: float = 0.0) -> bool:
        """Whether a key counts that was typed `waited_s` ago, meant for what is shown."""
        if self._armed_at is None or shown != self._shown:
            return False
        if self._clock() - waited_s < self._armed_at:
            self._armed_at = self._clock() + self._quiet_s
            return False
        return True
