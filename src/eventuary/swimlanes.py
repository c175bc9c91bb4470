"""Which swimlane an entity belongs to. This never changes: stored positions depend on it.

The hash is CRC-32 as in zlib, PNG and ISO 3309 (polynomial 0x04C11DB7 reflected, initial value
and final XOR 0xFFFFFFFF) of the UTF-8 bytes of the entity type, one NUL byte, and the UTF-8 bytes
of the entity id; the swimlane is that number modulo the number of swimlanes of the space.
"""

from zlib import crc32

#: How many swimlanes a space gets unless configured otherwise before its first event.
DEFAULT_SWIMLANES = 8


def swimlane_of(entity_type: str, entity_id: str, swimlanes: int) -> int:
    """Return the swimlane, from 0 to ``swimlanes`` - 1, of an entity."""
    return crc32(f"{entity_type}\0{entity_id}".encode()) % swimlanes
