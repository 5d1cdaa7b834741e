"""What training code uses inside a job: its data, its parameters, metrics, checkpoints and the model it makes.

import headwater.training

with headwater.training.session() as session:
    train = session.dataset("train")
    ...
"""

from headwater.training.worker import Restored, Session, session

__all__ = ["Restored", "Session", "session"]
