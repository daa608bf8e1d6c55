"""Trackable codes: short links and QR images whose scans arrive as events with their channel.

``codes`` makes and keeps them, ``targets`` says where they may lead, ``scans`` turns a scan into an event,
``images`` draws them, ``figures`` counts what came of them.
"""
