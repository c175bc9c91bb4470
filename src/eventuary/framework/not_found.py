"""What is raised for an entity that can't be loaded because it is not there, or no longer."""

from eventuary.errors import NotFound


class AggregateNotFound(NotFound):
    """There is no entity of this id, or there was none yet at the time asked for."""


class EntityForgotten(AggregateNotFound):
    """The entity's key was destroyed: nobody can read its events any more, or add to them.

    It is a kind of AggregateNotFound, so that code that copes with an entity that does not exist
    copes with one that was forgotten.
    """

    code = "entity_forgotten"
    status = 410
