"""The columns of a case and the words of a result file; standard library only.

Everything that is written to a result file or read from one goes by the names in this module, so
that the worker, the coordinator and the reporting side cannot drift apart. All times are seconds
and all sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AUTOCAST",
    "CASE_COLUMNS",
    "CELLS",
    "DISTRIBUTIONS",
    "DTYPES",
    "FULL_LAYOUTS",
    "GATES",
    "INITIAL_STATES",
    "LAYOUTS",
    "LENGTHS",
    "MOST_STAGES",
    "NOT_MEASURED",
    "PASSES",
    "RAGGED_LAYOUTS",
    "SCHEMA_VERSION",
    "SORTED",
    "STATES",
    "VARIANTS",
    "WIDTHS",
    "Column",
]

SCHEMA_VERSION = 2
"""Raised when a reader of an older file could misunderstand a newer one."""

CELLS = ("rnn_tanh", "rnn_relu", "lstm", "gru")
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
"""Rows of a weight for each unit of a cell's state."""
STATES = {"rnn_tanh": ("h",), "rnn_relu": ("h",), "lstm": ("h", "c"), "gru": ("h",)}
"""What a cell hands from step to step; the first of them is its output."""
PASSES = ("inference", "forward", "backward", "forward_backward", "training_step")
FULL_LAYOUTS = ("time_major", "batch_first", "batch_first_view")
RAGGED_LAYOUTS = ("packed", "padded", "masked")
"""Ways to do a batch whose sequences have lengths of their own; all of them begin with time."""

LAYOUTS = (*FULL_LAYOUTS, *RAGGED_LAYOUTS)
INITIAL_STATES = ("given", "zero")
SORTED = "_sorted"
"""How lengths end whose sequences come in their order, the longest first."""

DISTRIBUTIONS = ("constant", "bucketed", "uniform", "long_tail", "one_long")
"""Of the lengths of a batch; `rnnbench.lengths` says what each of them is."""

LENGTHS = ("full", *DISTRIBUTIONS, *(f"{name}{SORTED}" for name in DISTRIBUTIONS))
DTYPES = (
    "float32",
    "float64",
    "bfloat16",
    "float16",
    "autocast_bfloat16",
    "autocast_float16",
)
AUTOCAST = "autocast_"
"""How a dtype begins whose weights and inputs are float32 and whose forward pass runs under
``torch.autocast`` to what follows."""
WIDTHS = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number, by the dtype that it is stored in."""

VARIANTS = {
    "classifier": ("per_sample", "item_every_step", "batch_first", "compiled_model", "split"),
    "encoder_decoder": ("greedy",),
    "many_to_one": ("every_step",),
    "one_to_many": ("stop",),
    "training": ("clip_adam", "tbptt", "checkpointed"),
}
"""By workload, the other ways to do it; each is a workload `name.variant`, and takes turns with the
plain one."""

MOST_STAGES = 100
"""A run is planned with no more: beyond, no number of processes that one can wait for says
anything at the share of the error rate that each look is left with."""

NOT_MEASURED = ("unsupported", "incorrect", "failed", "out_of_memory", "timed_out", "crashed")
"""Statuses of a case that has no time.

``unsupported``: a capability check or this version's compiler says that it cannot be done;
``incorrect``: its numbers differ from the oracle's; ``failed``: it raised; ``out_of_memory``: an
allocation failed or the kernel ended the process for want of memory; ``timed_out``: it did not
answer within the case's time-out; ``crashed``: its process died.
"""


@dataclass(frozen=True)
class Column:
    """One column of a case: its name in files, its Python type, its unit and its meaning."""

    name: str
    type: type
    unit: str
    meaning: str


CASE_COLUMNS = (
    Column("implementation", str, "", "way in which the layer is computed"),
    Column("cell", str, "", "recurrent cell: its formula"),
    Column("workload", str, "", "what is done with the layer"),
    Column("pass", str, "", "which part of the work is timed"),
    Column("seq_len", int, "steps", "T, the sequence length"),
    Column("batch", int, "sequences", "B, the batch size"),
    Column("input_size", int, "features", "I, the width of the input"),
    Column("hidden_size", int, "features", "H, the width of the hidden state"),
    Column("num_layers", int, "layers", "L, the number of stacked layers"),
    Column("bidirectional", bool, "", "whether each layer also runs in reverse"),
    Column("bias", bool, "", "whether each step adds biases"),
    Column("dropout", float, "", "share of the outputs between layers that training drops"),
    Column("initial_state", str, "", "whether the layer is given a state to begin with"),
    Column("layout", str, "", "how the input lies in memory"),
    Column("lengths", str, "", "how the valid lengths of a batch are distributed up to T"),
    Column("dtype", str, "", "data type; autocast_… is float32 with torch.autocast to it"),
    Column("device", str, "", "torch device on which it runs"),
    Column("threads", int, "threads", "intra-op threads on the CPU"),
    Column("seed", int, "", "seed of weights, inputs and output gradients"),
    Column("environment", str, "", "name of the Python and torch that run it"),
)
