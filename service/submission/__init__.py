"""A whole challenges file in, a submission and a report on it out."""
