"""Jingzhe 惊蛰: find the customers who have gone quiet."""

__version__ = "0.1.0"
