"""Whether small networks gain by training on their founder's answers: see protocol.md."""
