"""Mends of NNI's ModelSpeedup."""
import functools
import types


def mend_single_values(model_speedup):
    """Let outputs of one value an example keep the cluster they read: a detector's score, cut out of its head.

    NNI tells activations from other tensors by their having more elements than a batch has examples. A tensor with just as
    many it follows no further, so that the head loses what only that tensor reads, and the network breaks.
    """
    speedup_class, torch = model_speedup.ModelSpeedup, model_speedup.torch
    check = speedup_class.tensor_propagate_check
    if check(types.SimpleNamespace(batch_size=8), torch.zeros(8, 1)):
        return

    @functools.wraps(check)
    def tensor_propagate_check(self, tensor):
        single = tensor.numel() == self.batch_size and tensor.dim() and tensor.shape[0] == self.batch_size
        return check(self, tensor) or bool(single and not isinstance(tensor, torch.nn.Parameter))

    speedup_class.tensor_propagate_check = tensor_propagate_check
