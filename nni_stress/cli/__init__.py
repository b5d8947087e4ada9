"""The subcommands of ``python -m nni_stress``, a module each; nni_stress/__main__.py lists them."""
