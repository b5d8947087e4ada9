"""Labels of views: each element of a view has the label that it has in the tensor."""

import pytest
import torch

from nni_stress.graph.following.labels import Labels
from nni_stress.graph.following.relations import Relations

VIEWS = {
    "split and joined": lambda t: t.view(2, 3, 2, 2, 6).transpose(2, 3).view(-1, 2, 12)[1:3],
    "split": lambda t: t.view(2, 12, 3, 2),
    "joined": lambda t: t.view(2, 72),
    "joined but for a part": lambda t: t[:, 1:].flatten(2),
    "everything joined": lambda t: t.flatten(),
    "permuted": lambda t: t.permute(3, 1, 0, 2),
    "cut and permuted": lambda t: t[1, :, 1:3].mT[..., ::2],
    "every third": lambda t: t[..., ::3],
    "every other across dimensions": lambda t: t.flatten()[1::2],
    "windows": lambda t: t.unfold(1, 2, 1),
    "a diagonal": lambda t: t.diagonal(dim1=1, dim2=2),
    "expanded": lambda t: t[:1].expand(5, 3, 4, 6)[None],
    "one element": lambda t: t[1, 2, 3, 4:5],
}


@pytest.mark.parametrize("varies", [(3,), (1, 3), (0, 1, 2, 3), (2,)])
@pytest.mark.parametrize("layout", [(0, 1, 2, 3), (0, 3, 1, 2)])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_labels_of_its_elements(name, layout, varies):
    labels = Labels(Relations())
    whole = (2, 3, 4, 6)
    tensor = torch.empty([whole[dim] for dim in layout]).permute(
        [layout.index(d) for d in range(4)]
    )
    own = torch.zeros(1, dtype=torch.int32)
    for dim, size in enumerate(whole):
        along = torch.arange(size, dtype=torch.int32) * (dim in varies) * 7**dim
        own = own + along.view([-1 if d == dim else 1 for d in range(4)])
    plane = (own + 1).expand(whole)
    labels.assign(tensor, [plane])
    try:
        view = VIEWS[name](tensor)
    except RuntimeError:
        pytest.skip("not a view in this layout")
    if view.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr():
        pytest.skip("not a view in this layout")
    flat = torch.empty_like(tensor, dtype=torch.int32).copy_(plane)
    expected = flat.as_strided(view.shape, view.stride(), view.storage_offset())
    found = labels.of(view)
    if len(expected.unique()) == 1:
        assert found == []
    else:
        assert torch.equal(found[0], expected)
        assert all(
            found[0].stride(dim) == 0
            for dim, size in enumerate(view.shape)
            if size > 1 and torch.equal(expected, expected.narrow(dim, 0, 1).expand_as(expected))
        )
