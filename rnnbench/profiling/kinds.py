"""What an operator or a kernel does, by its name: product, elementwise, copy, or nothing of these.

Read off names that the profiler saw. The own time of an operator is what is judged, without what it
calls: `aten::linear` calls `aten::addmm`, so its own time is the framework's, and views and
allocations are the framework's altogether.
"""

from __future__ import annotations

import re

__all__ = ["COPY", "ELEMENTWISE", "MATRIX_PRODUCT", "OVERHEAD", "PARTS", "kernel_part", "part_of"]

MATRIX_PRODUCT, ELEMENTWISE, COPY, OVERHEAD = "matrix_product", "elementwise", "copy", "overhead"

PARTS = (MATRIX_PRODUCT, ELEMENTWISE, COPY, OVERHEAD)
"""What the time of a call is made of; they add up to all of it."""


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_PRODUCTS = _set(
    "addmm mm bmm baddbmm addbmm mv addmv dot vdot addr ger _addmm_activation "
    "mkldnn_rnn_layer mkldnn_rnn_layer_backward _cudnn_rnn _cudnn_rnn_backward "
    "miopen_rnn miopen_rnn_backward _mkl_linear _linear_pointwise mkldnn_linear"
)
_ELEMENTWISE = _set(
    "add sub rsub mul div neg tanh sigmoid relu clamp clamp_min clamp_max threshold hardtanh exp "
    "log sqrt rsqrt pow reciprocal abs sign sum mean max min amax amin argmax argmin all any norm "
    "linalg_vector_norm softmax log_softmax nll_loss_forward nll_loss native_dropout bernoulli "
    "addcmul addcdiv lerp eq ne lt le gt ge where masked_fill logical_and logical_or logical_not "
    "isfinite bitwise_and bitwise_or cumsum sigmoid_backward tanh_backward fused_adam "
    "fused_sgd thnn_fused_lstm_cell thnn_fused_gru_cell topk sort"
)
_COPIES = _set(
    "copy cat stack fill zero index index_put index_select gather scatter scatter_add flip "
    "embedding embedding_dense repeat pack_padded_sequence pad_packed_sequence "
    "foreach_copy foreach_zero"
)
# Composites, views and allocations: they compute nothing themselves.
_FRAMEWORK = _set(
    "linear matmul t transpose permute view reshape as_strided select slice unbind chunk split "
    "split_with_sizes narrow unsqueeze squeeze expand expand_as detach alias unsafe_chunk "
    "unsafe_split unsafe_split_with_sizes view_as reshape_alias unsafe_view empty empty_like "
    "empty_strided new_empty new_empty_strided new_zeros zeros zeros_like ones ones_like full "
    "full_like contiguous clone to to_copy result_type item local_scalar_dense is_nonzero "
    "resolve_conj resolve_neg resize lift_fresh set_data rnn_tanh rnn_relu lstm gru dropout "
    "cross_entropy_loss sum_to_size select_backward slice_backward unbind_backward "
    "cudnn_is_acceptable use_cudnn_ctc_loss output_nr version size stride numel "
    "requires_grad dim result_type can_cast arange scalar_tensor"
)

_KERNEL_PRODUCT = re.compile(
    r"gemm|gemv|gemmk|cutlass|xmma|nvjet|splitk|RNN_block|persist|_dot_kernel", re.IGNORECASE
)
_KERNEL_COPY = re.compile(r"^Mem(cpy|set)|copy_kernel|CatArray|direct_copy|FillFunctor|_fused_cat")


def part_of(name: str) -> str | None:
    """Which of `PARTS` the own time of an operator is; None for an operator that is not known.

    What is no operator, such as a node of autograd, a region of compiled code or the call itself,
    is the framework's: Python, the dispatcher, or what calls kernels.
    """
    if "cpp_fused" in name or "triton_" in name:
        return COPY if "_fused_cat" in name else ELEMENTWISE
    if "cpp_template" in name or "CppMicroGemm" in name:
        return MATRIX_PRODUCT
    library, separator, operator = name.partition("::")
    if not separator or library not in ("aten", "mkl", "mkldnn"):
        return OVERHEAD
    for found in _spellings(operator):
        if found in _PRODUCTS:
            return MATRIX_PRODUCT
        if found in _ELEMENTWISE:
            return ELEMENTWISE
        if found in _COPIES:
            return COPY
        if found in _FRAMEWORK:
            return OVERHEAD
    return None


def kernel_part(name: str) -> str:
    """Which of `PARTS` a kernel of a device is; a device runs nothing of the framework's."""
    if _KERNEL_COPY.search(name):
        return COPY
    return MATRIX_PRODUCT if _KERNEL_PRODUCT.search(name) else ELEMENTWISE


def _spellings(operator: str) -> tuple[str, ...]:
    """An operator's name, and without what marks its variants: in place, of lists, backward."""
    bare = operator.strip("_")
    of_lists = bare.removeprefix("foreach_")
    forward = of_lists.removesuffix("_backward_data").removesuffix("_backward")
    return operator, bare, of_lists, forward
