"""What has happened since the start, as plain numbers: counting must cost the hot paths nothing."""


class Statistics:
    """Each only grows."""

    __slots__ = (
        "acknowledgements",
        "append_conflicts",
        "append_failures",
        "appended_events",
        "appends",
        "dead_letters",
        "deliveries",
        "loads",
        "redeliveries",
    )

    def __init__(self) -> None:
        #: Appends that are on disk, and the events in them.
        self.appends = 0
        self.appended_events = 0
        #: Appends refused by a version, an existing entity or an applied trigger.
        self.append_conflicts = 0
        #: Appends answered 503.
        self.append_failures = 0
        self.loads = 0
        #: Messages handed to receivers; those that were not the first of their event.
        self.deliveries = 0
        self.redeliveries = 0
        self.acknowledgements = 0
        self.dead_letters = 0
