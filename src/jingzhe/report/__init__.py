"""One page that a manager can read, in English and Chinese, and pictures of its charts.

``contents`` says what a report holds; ``gather`` computes it from tables with ``queries``.
``sections`` (with ``headlines`` and ``verdict``) put it into words, tables (``blocks``) and ``charts``.
``page`` writes the file. ``names`` holds the words and colours of states and classes, ``phrasing`` the
numbers and dates of both languages.
"""

from jingzhe.report.contents import (
    Backtest,
    CalibrationBin,
    Frame,
    Imports,
    ModelResult,
    ReportData,
)
from jingzhe.report.gather import collect_data
from jingzhe.report.headlines import headlines
from jingzhe.report.page import Written, page_html, write_report

__all__ = [
    "Backtest",
    "CalibrationBin",
    "Frame",
    "Imports",
    "ModelResult",
    "ReportData",
    "Written",
    "collect_data",
    "headlines",
    "page_html",
    "write_report",
]
