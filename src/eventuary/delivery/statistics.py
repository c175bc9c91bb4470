"""What has happened since the start, as plain numbers: counting must cost the hot paths nothing."""

from eventuary.engines.engine import AppendCounts


class Statistics:
    """Each only grows."""

    __slots__ = (
        "_counts",
        "acknowledgements",
        "dead_letters",
        "deliveries",
        "loads",
        "redeliveries",
    )

    def __init__(self, counts: AppendCounts) -> None:
        self._counts = counts
        self.loads = 0
        #: Messages handed to receivers; those that were not the first of their event.
        self.deliveries = 0
        self.redeliveries = 0
        self.acknowledgements = 0
        self.dead_letters = 0

    @property
    def appends(self) -> int:
        """Appends that are on disk."""
        return self._counts.appends

    @property
    def appended_events(self) -> int:
        """The events in them."""
        return self._counts.appended_events

    @property
    def groups(self) -> int:
        """The commits that wrote them."""
        return self._counts.groups

    @property
    def append_conflicts(self) -> int:
        """Appends refused by a version, an existing entity or an applied trigger."""
        return self._counts.conflicts

    @property
    def append_failures(self) -> int:
        """Appends answered ServiceUnavailable."""
        return self._counts.failures
