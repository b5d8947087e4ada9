"""Patches that make NNI 3.0 work with current PyTorch, Python, Lightning and transformers."""
