"""Training: from token arrays to a checkpoint folder."""
