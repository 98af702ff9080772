"""The networks: configuration, layers, HRM and TRM."""
