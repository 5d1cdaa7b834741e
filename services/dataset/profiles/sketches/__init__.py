"""Sketches: what a stream of values was like, in little memory and within known errors.

The same values in the same order give the same answers: nothing is drawn at random.
"""
