"""Mends NNI 3.0 for today's PyTorch, Python and Lightning.

NNI's last release is from 2023. Each mend looks for the defect it knows, not for a version, and leaves a healthy NNI as
it is. Nothing is imported for this: a mend runs right after NNI's own module is imported, or at once if it already is.
"""

import contextlib
import dis
import functools
import inspect
import logging
import types
import warnings

import wrapt

from ..experiment import hooks
from . import evaluators, speedup

_log = logging.getLogger(__name__)


def install():
    """Mend NNI wherever it is found broken, now or when it is imported. Calling this again changes nothing."""
    _quiet_import_warnings()
    _register_mends()


def _quiet_import_warnings():
    """Keep from our users what NNI's import says about NNI's own code."""
    warnings.filterwarnings(
        "ignore",
        r"`torch\.utils\._pytree\._register_pytree_node` is deprecated",
        FutureWarning,
        r"nni\.compression\.",
    )
    warnings.filterwarnings(
        "ignore",
        r"<class 'torch\.fx\.immutable_collections\.immutable_(dict|list)'> is already "
        "registered as pytree node",
        UserWarning,
        r"torch\.utils\._pytree",
    )
    warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API", module=r"nni\.")


@functools.cache  # so once only
def _register_mends():
    for mend, module in _MENDS.items():
        wrapt.register_post_import_hook(functools.partial(_apply, mend), f"nni.{module}")


def _apply(mend, module):
    try:
        mend(module)
    except Exception as error:  # an NNI unknown to us may work unmended: do not let its import fail
        _log.warning(
            "nni_stress cannot tell whether %s needs %s: %r", module.__name__, mend.__name__, error
        )


def _mend_tensor_functions(concrete_tracer):
    """Let the tracer live with torch's renaming of `_TensorBase`, by which it tells tensor functions, to `TensorBase`.

    Tensor methods are traced by a later rule. The static functions (`_make_subclass` and its like) meet no rule: the
    tracer asks for their `__module__`, which is None, and dies. They never take a traced tensor, so it can do without.
    """
    tracer = concrete_tracer.ConcreteTracer
    if "_TensorBase" not in tracer.trace.__code__.co_consts:
        return
    for function in list(tracer.default_autowrap_leaf_function):
        if (
            function.__qualname__.startswith("TensorBase.")
            and getattr(function, "__module__", "") is None
        ):
            del tracer.default_autowrap_leaf_function[function]


def _mend_purity(concrete_tracer):
    """Let NNI's stand-in for `Node.is_impure` be called with every argument that torch gives the original."""
    purity = concrete_tracer.node_is_impure_wrapper
    given = inspect.signature(concrete_tracer.Node.is_impure).parameters
    try:
        inspect.signature(purity, follow_wrapped=False).bind(*given)
    except TypeError:

        @functools.wraps(purity)
        def is_impure(node, *ignored, **also_ignored):
            return purity(node)

        concrete_tracer.node_is_impure_wrapper = is_impure


def _mend_generics(concrete_tracer):
    """Let `list[int]` and its like work while tracing, as today's torch.nn.functional writes them (max_pool2d without stride)."""
    wrap = concrete_tracer._create_wrapped_leaf_iterable_class
    if hasattr(type(wrap(None, list)), "__getitem__"):
        return

    @functools.wraps(wrap)
    def wrap_generic(tracer, kind):
        wrapped = wrap(tracer, kind)
        type(wrapped).__getitem__ = lambda self, item: kind[item]
        return wrapped

    concrete_tracer._create_wrapped_leaf_iterable_class = wrap_generic


def _mend_type_parameters(concrete_tracer):
    """Let the tracer wrap `type`, whose `__type_params__` is no tuple before Python 3.12.4 (python/cpython#119011)."""
    if isinstance(getattr(type, "__type_params__", ()), tuple):
        return

    def wraps(wrapped):
        names = [
            name
            for name in functools.WRAPPER_ASSIGNMENTS
            if wrapped is not type or name != "__type_params__"
        ]
        return functools.wraps(wrapped, names)

    concrete_tracer.functools = types.SimpleNamespace(**{**vars(functools), "wraps": wraps})


def _mend_bytecode(concrete_proxy):
    """Let a traced value see the instruction that uses it: since Python 3.11 there are inline caches and other jumps."""
    if _sees_branches(concrete_proxy.ConcreteProxy):
        return
    concrete_proxy.ConcreteProxy.jump_opcodes = tuple(
        code
        for name, code in dis.opmap.items()
        if "JUMP" in name and ("IF_TRUE" in name or "IF_FALSE" in name)
    )
    concrete_proxy.dis = types.SimpleNamespace(
        **{**vars(dis), "get_instructions": _instructions_by_code_unit}
    )


def _sees_branches(proxy_class):
    def branch(value):
        len(())  # where calls have caches, what follows them is miscounted
        return True if value else False  # noqa: SIM210, a branch must be compiled

    try:
        return branch(proxy_class(None, True, object()))
    except Exception:
        return False


def _instructions_by_code_unit(code):
    return _by_code_unit(dis.get_instructions(code), len(code.co_code) // 2)


def _by_code_unit(instructions, units):
    """List what runs at each two-byte unit of bytecode, so that `f_lasti // 2` indexes it on every Python.

    A prefix and a conversion to bool (3.13) stand for the instruction they prepare. The inline caches of a call stand
    for the call, because a frame that waits for Python code may stand on them; those of a comparison stand for what
    comes next, because NNI looks there for a jump.
    """
    slots, following = [None] * units, None
    for instruction in reversed([each for each in instructions if each.opname != "CACHE"]):
        start = instruction.offset // 2
        meant = following if instruction.opname in ("EXTENDED_ARG", "TO_BOOL") else instruction
        cached = following if instruction.opname == "COMPARE_OP" else meant
        slots[start:units] = [meant] + [cached] * (units - start - 1)
        units, following = start, meant
    return slots


def _mend_modes(model_speedup):
    """Keep every module in its mode: NNI makes new modules in training mode, and switches whole models to and fro."""
    speedup_class = model_speedup.ModelSpeedup
    trace, speed_up = speedup_class.__init__, speedup_class.speedup_model

    @functools.wraps(trace)
    def init(self, model, *args, **kwargs):
        with _modes_kept(model):
            trace(self, model, *args, **kwargs)

    @functools.wraps(speed_up)
    def speedup_model(self):
        with _modes_kept(self.bound_model):
            return speed_up(self)

    speedup_class.__init__, speedup_class.speedup_model = init, speedup_model


@contextlib.contextmanager
def _modes_kept(model):
    modes = {name: module.training for name, module in model.named_modules(remove_duplicate=False)}
    model.eval()  # or NNI's trial runs would move the batch statistics
    try:
        yield
    finally:
        for name, module in model.named_modules(remove_duplicate=False):
            module.training = modes.setdefault(
                name, modes.get(name.rpartition(".")[0])
            )  # a new one is as its parent


def _mend_several_outputs(model_speedup):
    """Let modules whose outputs share computation (LSTM, GRU) pass speedup: NNI goes back through it once for each output,
    but lets torch free it after the first.
    """
    speedup_class = model_speedup.ModelSpeedup
    backward = speedup_class.indirect_backward
    if "retain_graph" in str(backward.__code__.co_consts):
        return

    @functools.wraps(backward)
    def indirect_backward(self, output, output_mask):
        if getattr(output, "grad_fn", None) is None:
            backward(self, output, output_mask)
        elif self.tensor_propagate_check(output):
            output.backward(output_mask.expand_as(output), retain_graph=True)

    speedup_class.indirect_backward = indirect_backward


def _mend_patience(module) -> None:
    """nnictl gives its manager three seconds to answer, which a machine with other work to do may not: give it fifteen."""
    check = module._check_rest_server
    if inspect.signature(check).parameters["retry"].default < 15:
        module._check_rest_server = functools.partial(check, retry=15)


def _mend_layouts(sparse_gen):
    """Let weights in channels last be ranked one by one (LevelPruner): NNI takes `view`s of them, which they do not have.

    Its rules are mended, not `generate_sparsity`, which pruners imported before us hold by name.
    """
    torch = sparse_gen.torch

    def contiguous(rule):
        @functools.wraps(rule)
        def generate(metrics, target_spaces):
            return rule(
                {
                    module: {target: metric.contiguous() for target, metric in targets.items()}
                    for module, targets in metrics.items()
                },
                target_spaces,
            )

        return generate

    try:
        sparse_gen._ratio_mask(torch.rand(2, 2, 2, 2).to(memory_format=torch.channels_last), 0.5)
    except RuntimeError:
        for kind in ("threshold", "dependency", "global", "ratio"):
            name = f"_generate_{kind}_sparsity"
            setattr(sparse_gen, name, contiguous(getattr(sparse_gen, name)))


_MENDS = {
    _mend_tensor_functions: "common.concrete_trace_utils.concrete_tracer",
    _mend_purity: "common.concrete_trace_utils.concrete_tracer",
    _mend_generics: "common.concrete_trace_utils.concrete_tracer",
    _mend_type_parameters: "common.concrete_trace_utils.concrete_tracer",
    _mend_bytecode: "common.concrete_trace_utils.concrete_proxy",
    evaluators.mend_lightning_steps: "compression.utils.evaluator",
    evaluators.mend_transformers: "compression.utils.evaluator",
    _mend_modes: "compression.speedup.model_speedup",
    _mend_several_outputs: "compression.speedup.model_speedup",
    speedup.mend_single_values: "compression.speedup.model_speedup",
    speedup.mend_counting: "compression.speedup.model_speedup",
    speedup.mend_detection: "compression.speedup.mask_conflict",
    _mend_layouts: "compression.pruning.tools.sparse_gen",
    _mend_patience: "experiment.launcher",
    hooks.guard_experiments: "experiment.experiment",
    hooks.guard_nnictl: "tools.nnictl.launcher",
    hooks.guard_updates: "tools.nnictl.updater",
    hooks.guard_stored_configs: "tools.nnictl.config_utils",
    hooks.guard_messages: "common.serializer",
}
