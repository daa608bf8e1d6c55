"""The charts: ``sheet`` is the paper they are drawn on, ``pictures`` makes SVG and PNG of them."""
