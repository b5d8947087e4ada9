"""What one trial of an evolution does: take an offspring, make it, record it, report it."""
