"""What stress is worth: one generation, with many stressors, and recovery of many lengths."""
