"""The engine: slots, scheduling, carry, halting."""
