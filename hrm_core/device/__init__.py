"""What a device can do and what is fastest on it."""
