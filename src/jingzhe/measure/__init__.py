"""Measurement: who is held out, decided before anything is sent.

``holdout`` assigns people to the control group of an experiment and remembers it, across merges.
"""
