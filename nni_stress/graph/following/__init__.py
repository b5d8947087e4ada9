"""Follow a network: which indices of its tensors must be removed together.

Labels ride along one ordinary forward pass, below autograd. Every index of every dimension of every
parameter and buffer has a label of its own. Operators carry the labels of their inputs on to their
outputs, and tie labels whose indices can only be removed together. A cluster (output channel,
neuron, attention head, ...) is a set of indices that are tied. No source code is traced, so that
whatever runs can be followed.
"""
