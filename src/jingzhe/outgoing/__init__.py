"""Outgoing webhooks: third systems are told what happened, at least once, signed, in the form of Standard Webhooks.

``webhooks`` says who wants to hear what, ``gathering`` fills the outbox from what was published, ``deliveries`` is
the outbox, ``sending`` posts one message, ``courier`` does all of it again and again beside the worker.
"""
