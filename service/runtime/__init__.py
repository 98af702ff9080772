"""Processes and their surroundings: settings, logs, devices, the embedded server."""
