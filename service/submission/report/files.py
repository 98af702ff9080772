"""The report's two files, beside the submission."""

import json
from pathlib import Path

from augment import write_atomically
from service.submission.report.document import Report
from service.submission.report.page import report_page


def write_report(report: Report, json_path: Path, page_path: Path) -> None:
    """Write the report as JSON and as a page, each in one move.

    Raises: OSError.
    """
    for path, parts in (
        (json_path, (json.dumps(report.document()),)),
        (page_path, report_page(report)),
    ):
        write_atomically(path, parts)
