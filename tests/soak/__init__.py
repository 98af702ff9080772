"""A mixed load on a real service of which parts are killed at random, and an audit at the end."""
