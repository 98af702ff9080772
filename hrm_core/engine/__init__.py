"""How samples share a device: slots, scheduling, carry, halting."""
