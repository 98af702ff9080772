"""Answers a whole challenges file: a submission, and a report on it."""
