"""The report on a submission: a JSON document, and a page that needs nothing beside itself."""

from service.submission.report.document import PuzzleReport, Report, make_report
from service.submission.report.files import write_report

__all__ = ["PuzzleReport", "Report", "make_report", "write_report"]
