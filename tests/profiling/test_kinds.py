"""What an operator does is read off its name, and what is not known is not guessed."""

import pytest

from rnnbench.profiling.kinds import (
    COPY,
    ELEMENTWISE,
    MATRIX_PRODUCT,
    OVERHEAD,
    kernel_part,
    part_of,
)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("aten::addmm", MATRIX_PRODUCT),
        ("aten::mm", MATRIX_PRODUCT),
        ("aten::_cudnn_rnn_backward", MATRIX_PRODUCT),
        ("mkldnn::_linear_pointwise", MATRIX_PRODUCT),
        ("aten::tanh", ELEMENTWISE),
        ("aten::add_", ELEMENTWISE),
        ("aten::tanh_backward", ELEMENTWISE),
        ("aten::_foreach_addcdiv_", ELEMENTWISE),
        ("graph_0_cpp_fused_add_tanh_0", ELEMENTWISE),
        ("graph_0_cpp_fused_cat_3", COPY),
        ("aten::copy_", COPY),
        ("aten::stack", COPY),
        ("aten::_foreach_zero_", COPY),
        ("aten::linear", OVERHEAD),
        ("aten::as_strided", OVERHEAD),
        ("aten::_unsafe_view", OVERHEAD),
        ("AddmmBackward0", OVERHEAD),
        ("autograd::engine::evaluate_function: AddmmBackward0", OVERHEAD),
        ("Torch-Compiled Region: 0/0", OVERHEAD),
        ("cudaLaunchKernel", OVERHEAD),
        ("aten::something_new", None),
    ],
)
def test_operators_by_their_names(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ampere_sgemm_128x64_tn", MATRIX_PRODUCT),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm>", MATRIX_PRODUCT),
        ("RNN_blockPersist_fp_LSTM", MATRIX_PRODUCT),
        ("Memcpy DtoD (Device -> Device)", COPY),
        ("void at::native::CatArrayBatchedCopy<float>", COPY),
        ("void at::native::vectorized_elementwise_kernel<4, tanh_kernel_cuda>", ELEMENTWISE),
    ],
)
def test_kernels_by_their_names(name, part):
    assert kernel_part(name) == part
