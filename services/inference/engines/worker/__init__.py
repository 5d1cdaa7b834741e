"""Engines in processes of their own: a model that hangs, leaks or crashes takes nothing along (docs/adr/0019).

In the service: ``engine`` (an Engine whose model is elsewhere, and starts it again), ``process`` (one worker process),
``template`` (from which they are forked), ``watch`` (notices those that end or grow). In the process of a worker:
``__main__`` (the template), ``child`` (loads and computes), ``confinement`` (what it may not do). On both sides:
``memory`` (tensors), ``wire`` (messages).
"""
