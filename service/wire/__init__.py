"""What crosses a border between processes, each declared once."""
