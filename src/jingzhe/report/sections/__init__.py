"""The sections of the page, in the order in which they are read."""

from __future__ import annotations

from jingzhe.report.blocks import Section
from jingzhe.report.contents import ReportData
from jingzhe.report.sections.method import method_section, quality_section
from jingzhe.report.sections.model import model_section
from jingzhe.report.sections.pool import pool_section, silence_section
from jingzhe.report.sections.quiet import edge_section, stake_section, tiers_section
from jingzhe.report.sections.rfm import rfm_section


def sections_of(data: ReportData) -> tuple[Section, ...]:
    """Returns all sections; without any order those that speak of buyers are left out."""
    last = (quality_section(data), method_section(data))
    if not data.totals.buyers:
        return (pool_section(data), *last) if data.totals.people else last
    return (
        pool_section(data),
        stake_section(data),
        tiers_section(data),
        edge_section(data),
        rfm_section(data),
        silence_section(data),
        model_section(data),
        *last,
    )
