"""The report on a submission: a JSON document, and a self-contained page."""

from service.submission.report.document import PuzzleReport, Report, make_report
from service.submission.report.page import write_report

__all__ = ["PuzzleReport", "Report", "make_report", "write_report"]
