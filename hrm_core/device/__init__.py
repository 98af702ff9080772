"""Devices: what is available, and what is fastest on them."""
