"""Binary sequences with their labels, checked, and the two ways in which a training reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rnnbench.classifier.settings import CLASSES, Settings
from rnnbench.errors import UserError

__all__ = [
    "Batch",
    "Order",
    "Sequences",
    "batches",
    "draw",
    "first",
    "held_out",
    "training",
    "unseen",
]

Batch = tuple[Tensor, Tensor]

# The seed itself is that of the weights. A generator of PyTorch looks at 32 bits of its seed alone,
# so streams that must differ have seeds that differ there.
_OF_TRAINING, _OF_ORDER, _OF_HELD_OUT = 1_000_000, 2_000_000, 3_000_000


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences (N, T, 1) in float32 and their labels (N) in int64, on the CPU.

    Raises:
        UserError: there is nothing to learn from, a value is not finite, or a label is no class.
    """

    values: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.values.shape)
        if len(shape) != 3 or shape[2] != 1:
            raise UserError(f"the sequences have shape {shape}; it must be (samples, steps, 1)")
        if shape[0] == 0:
            raise UserError("the dataset is empty; give at least one sequence")
        if shape[1] == 0:
            raise UserError("the sequences have length 0; give at least one step")
        if tuple(self.labels.shape) != shape[:1]:
            raise UserError(
                f"the labels have shape {tuple(self.labels.shape)} and there are {shape[0]} "
                "sequences; give one label for each"
            )
        if self.values.dtype != torch.float32 or self.labels.dtype != torch.int64:
            raise UserError(
                f"the sequences are {self.values.dtype} and the labels {self.labels.dtype}; they "
                "must be torch.float32 and torch.int64"
            )
        odd = (~torch.isfinite(self.values)).nonzero()
        if len(odd):
            at, step, _ = odd[0].tolist()
            raise UserError(
                f"sequence {at} is {self.values[at, step, 0].item()} at step {step}; every value "
                "must be a finite number"
            )
        wrong = ((self.labels < 0) | (self.labels >= CLASSES)).nonzero()
        if len(wrong):
            at = int(wrong[0])
            raise UserError(
                f"the label of sequence {at} is {int(self.labels[at])}; there are {CLASSES} "
                f"classes, 0 to {CLASSES - 1}"
            )


def draw(count: int, seq_len: int, seed: int) -> Sequences:
    """Sequences of fair bits; the label is 1 where more than half of them are ones.

    Raises:
        UserError: there would be no sequence, or sequences without a step.
    """
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(0, 2, (count, seq_len, 1), generator=generator)
    labels = (2 * bits.sum((1, 2)) > seq_len).to(torch.int64)
    return Sequences(bits.to(torch.float32), labels)


def training(settings: Settings) -> Sequences:
    """What is trained on."""
    return draw(settings.samples, settings.seq_len, settings.seed + _OF_TRAINING)


def held_out(settings: Settings) -> Sequences:
    """Fresh sequences, drawn with another seed; short ones may be among the trained all the same.

    There are 1,024 sequences of length 10, and 2,000 draws meet about 86 % of them.
    """
    return draw(settings.held_out, settings.seq_len, settings.seed + _OF_HELD_OUT)


def unseen(fresh: Sequences, trained: Sequences) -> Tensor:
    """Which of the fresh sequences are not among the trained ones, as a mask (N)."""
    known = {tuple(row) for row in trained.values.flatten(1).tolist()}
    return torch.tensor([tuple(row) not in known for row in fresh.values.flatten(1).tolist()])


class Order(Sampler[int]):
    """A new random order of the samples in each epoch, the same for both ways to read them."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self.generator = torch.Generator().manual_seed(seed + _OF_ORDER)

    def permutation(self) -> Tensor:
        """The next epoch's order."""
        return torch.randperm(self._count, generator=self.generator)

    def __iter__(self) -> Iterator[int]:
        return iter(self.permutation().tolist())

    def __len__(self) -> int:
        return self._count


class _Prepared:
    """Tensors that were made once and lie on the device, in the layout that the layer wants."""

    def __init__(self, sequences: Sequences, order: Order, settings: Settings) -> None:
        self._order = order
        self._batch = settings.batch
        self._device = settings.device
        self._dim = 0 if settings.batch_first else 1
        values = sequences.values.transpose(0, self._dim).contiguous()
        self._values = values.to(settings.device)
        self._labels = sequences.labels.to(settings.device)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order.permutation().to(self._device)
        for part in torch.split(order, self._batch):
            yield self._values.index_select(self._dim, part), self._labels.index_select(0, part)


class _PerSample(Dataset[Batch]):
    """A dataset as courses write it: lists of Python, a tensor made for each sample asked for."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences: list[list[float]] = sequences.values.squeeze(-1).tolist()
        self._labels: list[int] = sequences.labels.tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Batch:
        values = torch.tensor(self._sequences[index], dtype=torch.float32)
        return values.unsqueeze(-1), torch.tensor(self._labels[index])


def _stacked(samples: Sequence[Batch], dim: int) -> Batch:
    values, labels = zip(*samples, strict=True)
    return torch.stack(values, dim), torch.stack(labels)


def batches(sequences: Sequences, order: Order, settings: Settings) -> Iterable[Batch]:
    """The batches of an epoch, each time it is iterated those of the next one."""
    if settings.data == "prepared":
        return _Prepared(sequences, order, settings)
    loader: Any = DataLoader(
        _PerSample(sequences),
        batch_size=settings.batch,
        sampler=order,
        collate_fn=partial(_stacked, dim=0 if settings.batch_first else 1),
    )
    return cast(Iterable[Batch], loader)


def first(sequences: Sequences, settings: Settings, size: int) -> Batch:
    """A batch of the first sequences, without touching the order of an epoch."""
    values = sequences.values[:size]
    x = values if settings.batch_first else values.transpose(0, 1).contiguous()
    return x.to(settings.device), sequences.labels[:size].to(settings.device)
