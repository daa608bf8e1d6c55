"""What every part stands on: errors, clock, settings, progress, durations and words in two languages.

Imports nothing of the rest of the package.
"""
