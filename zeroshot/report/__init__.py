"""One self-contained HTML page about an experiment: how well scores rank architectures.

- `write_report`: from arrays to a file
- `content`: what is in it; `stored`: of a store and a benchmark
- `page`: tables, figures and the page around them

Needs Matplotlib and SciPy: ``pip install 'zeroshot[plot,stats]'``.
"""

from __future__ import annotations

__all__ = ["write_report", "write_stored_report"]

from zeroshot.report.content import write_report
from zeroshot.report.stored import write_stored_report
