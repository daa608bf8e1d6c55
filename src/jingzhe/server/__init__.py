"""The HTTP side of collection.

``collector`` takes events of SDKs, ``admission`` says who may send and how much, ``answers`` what each protocol is
answered, ``serving`` runs it.
"""
