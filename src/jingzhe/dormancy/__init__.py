"""Who has gone quiet, who is about to, how sure we are, and why.

``btyd`` holds the purchase models, ``rhythm`` the personal clock, ``edge`` the risk model, ``backtest`` the proof on
data after a cut, ``scoring`` the table of scores, ``reasons`` the evidence in words.
"""
