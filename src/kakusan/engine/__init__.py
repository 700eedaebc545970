"""The batching engine: many tasks, one network call at a time, each call shared by all that wait for its kind."""

from .core import Engine, Network
from .job import Job, Reply, replay
from .journal import Journal, resume

__all__ = ["Engine", "Job", "Journal", "Network", "Reply", "replay", "resume"]
