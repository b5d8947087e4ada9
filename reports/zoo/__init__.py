"""How small today's networks become, and whether the small ones compute what they should.

Networks of torchvision, timm, transformers and others, and structures that pruners are known to
fail on, are made small by this package and by Torch-Pruning: see :mod:`reports.zoo.__main__`.
"""
