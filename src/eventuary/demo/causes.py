"""Who did what because of what, drawn as a tree."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.text import Text
from rich.tree import Tree

from eventuary.demo.chronicle import Cause, Recorded, cause_of

#: How an event looks: what is well, what is not, and what is neither.
_STYLES = {
    "OrderApproved": "bold green",
    "CreditReserved": "green",
    "CreditReleased": "green",
    "OrderRejected": "bold red",
    "CreditLimitExceeded": "red",
    "CustomerUnknown": "red",
    "OrderCancelled": "bold yellow",
}

#: Columns that what happened takes, indentation and all.
_COLUMN = 34


def draw(
    events: Iterable[Recorded], emails: Iterable[Cause], names: Mapping[str, str]
) -> list[Tree]:
    """Return a tree for each event that no other has triggered, and what followed from it.

    ``names``: what entities are called, by their ids.
    """
    told = list(emails)
    trees: list[Tree] = []
    nodes: dict[str, _Node] = {}
    for event in events:
        cause = cause_of(event.triggering_event_token)
        above = None if cause is None else nodes.get(cause.event_id)
        if cause is None or above is None:
            node = _Node(Tree(_line(event, names, "a request", 0), guide_style="dim"), 0, event)
            trees.append(node.tree)
        else:
            line = _line(event, names, cause.subscriber, above.depth + 1)
            line.append(f"  +{event.milliseconds - above.root.milliseconds:,} ms", "dim")
            node = _Node(above.tree.add(line), above.depth + 1, above.root)
        nodes[event.id] = node
        for email in told:
            if email.event_id == event.id:
                node.tree.add(_cells("an e-mail", "magenta", "", email.subscriber, node.depth + 1))
    return trees


class _Node(NamedTuple):
    tree: Tree
    depth: int
    root: Recorded


def _line(event: Recorded, names: Mapping[str, str], by: str, depth: int) -> Text:
    return _cells(
        event.event_type,
        _STYLES.get(event.event_type, "bold"),
        names.get(event.entity_id, event.entity_id[-8:]),
        by,
        depth,
    )


def _cells(what: str, style: str, whose: str, by: str, depth: int) -> Text:
    # Each level is indented by four columns.
    return Text.assemble(
        (f"{what:<{_COLUMN - 4 * depth}}", style), f"{whose:<10}", (f"by {by}", "dim")
    )
