"""Self-contained HTML pages of runs, comparisons and sweeps.

Pages are built from folders, never from a live run. Figures by plotly, whose script is written into
the page; the page itself by jinja2. Both come with the extra `report` and are loaded when used.
"""
