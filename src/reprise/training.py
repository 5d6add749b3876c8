"""Training: one Lightning fit for every network of the project.

Models are plain `nn.Module`s that know nothing of Lightning; an objective maps (model, batch) to a scalar loss. What
depends on the machine comes from the environment, so that it never invalidates a cached result:

    REPRISE_ACCELERATOR  cpu, gpu, mps or auto (default)
    REPRISE_DEVICES      number of devices for one training (1); more share each batch (DDP, forked processes)
    REPRISE_PRECISION    Lightning's names; default 32-true on a CPU, bf16-mixed on a GPU
    REPRISE_WORKERS      worker processes that gather batches (default 0)
    REPRISE_COMPILE      1 compiles the model (torch.compile; needs a C++ compiler, pays off in long trainings)

A fit that lasts longer than `CHECKPOINT_EVERY` leaves a checkpoint in the job's work folder at the end of an epoch and,
after a kill, goes on from it as if nothing had happened: the order of the batches and torch's random numbers are part
of it. Short fits write nothing: repeating one costs less than its checkpoint.
"""

import contextlib
import logging
import os
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from reprise import jobs, progress
from reprise.errors import UserError
from reprise.params import Recipe


@contextlib.contextmanager
def _spared(module: str, **names: object) -> Iterator[None]:
    """An empty `module` in the place of one that is imported in passing and never used."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = types.ModuleType(module)
    vars(sys.modules[module]).update(names)
    try:
        yield
    finally:
        del sys.modules[module]


# Lightning imports torchmetrics, which loads scipy.signal to give it a name that another package may want: a second in
# every process.
with _spared("scipy.signal", hamming=None):
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping

CHECKPOINT_EVERY = timedelta(minutes=5)


class Table(Protocol):
    """Rows in memory or on disk: an array, a memory map, or a lazy selection of their rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


Batch = dict[str, Tensor]
Objective = Callable[[nn.Module, Batch], Tensor]
Undecayed = Callable[[str, nn.Parameter], bool]


class ArrayBatches(Dataset[Batch]):
    """Batches gathered from (memory-mapped) arrays of equal length: item [i, j, ...] is one whole batch."""

    def __init__(self, arrays: Mapping[str, Table]) -> None:
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"arrays differ in length: {lengths}")
        self.arrays = dict(arrays)
        self.length = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: np.ndarray) -> Batch:
        whole = len(rows) == self.length  # full batches need no copy, where the memory is ours
        return {name: torch.from_numpy(_taken(array, rows, whole)) for name, array in self.arrays.items()}


def _taken(array: Table, rows: np.ndarray, whole: bool) -> np.ndarray:
    if whole and isinstance(array, np.ndarray) and array.flags.writeable and array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array[rows])


class BatchRows(Sampler[np.ndarray]):
    """Shuffled batches of row numbers, a new order each epoch; the last batch may be short but never a single row.

    With `groups`, rows are spread so that each batch holds every group in its overall proportion.
    """

    def __init__(self, n: int, batch_size: int, seed: int, groups: np.ndarray | None = None) -> None:
        self.n, self.batch_size, self.groups = n, batch_size, groups
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return max(1, -(-self.n // self.batch_size) - (self.n % self.batch_size == 1))

    def __iter__(self) -> Iterator[np.ndarray]:
        order = self.random.permutation(self.n)
        if self.groups is not None:
            shuffled = self.groups[order]
            position = np.empty(self.n)
            for group in np.unique(shuffled):
                members = np.flatnonzero(shuffled == group)
                position[members] = (np.arange(len(members)) + 0.5) / len(members)
            order = order[np.argsort(position, kind="stable")]
        for k in range(len(self)):
            last = k == len(self) - 1
            batch = order[k * self.batch_size : None if last else (k + 1) * self.batch_size]
            if torch.distributed.is_initialized():
                batch = _share(batch, torch.distributed.get_rank(), torch.distributed.get_world_size())
            yield np.sort(batch)  # sorted rows read faster from a memory map; order within a batch has no effect


def _share(batch: np.ndarray, device: int, devices: int) -> np.ndarray:
    """The rows of a batch that one device takes: all of them where there would be fewer than two for each."""
    return batch[device::devices] if len(batch) >= 2 * devices else batch


class _Fit(pl.LightningModule):
    """The Lightning side of `fit`: holds the model and the objective, knows the optimiser."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        recipe: Recipe,
        rows: BatchRows,
        warmup: float,
        undecayed: Undecayed | None,
    ) -> None:
        super().__init__()
        self.model, self.objective, self.recipe, self.rows, self.warmup = model, objective, recipe, rows, warmup
        self.undecayed = undecayed
        self.curve: list[float] = []
        self._sum, self._count, self._logged = torch.zeros(()), 0, time.monotonic()
        self._start = self._said = self._logged
        self._first = 0  # step, of what goes on from a checkpoint

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.trainer.is_global_zero and (now := time.monotonic()) - self._said >= progress.EVERY:
            self._said = now
            total = len(self.rows) * self.recipe.epochs
            line = progress.said(self.trainer.global_step - self._first, total - self._first, now - self._start, "step")
            print(f"{jobs.label() or 'training'}: epoch {self.current_epoch + 1}, {line}", flush=True)

    def on_train_start(self) -> None:
        self._start = self._said = time.monotonic()
        self._first = self.trainer.global_step

    def setup(self, stage: str) -> None:
        if self.trainer.world_size > 1:
            torch.set_num_threads(1)  # a forked process that wants the threads of its parent waits for ever

    def training_step(self, batch: Batch) -> Tensor:
        loss = self.objective(self.model, batch)
        if (rate := getattr(self.objective, "restart", None)) is not None:
            self._restart(rate)
        if self.trainer.world_size > 1:
            loss = loss * self._weight(batch)
        self._sum, self._count = self._sum.to(loss.device) + loss.detach(), self._count + 1
        return loss

    def _weight(self, batch: Batch) -> Tensor:
        """Rows of this device relative to the devices' mean: gradients are averaged as if all shares were equal."""
        own = torch.tensor(float(len(next(iter(batch.values())))), device=self.device)
        total = own.clone()
        torch.distributed.all_reduce(total)
        return own * self.trainer.world_size / total

    def _restart(self, rate: float) -> None:
        """Forget Adam's moments, which a loss on another scale has left, and scale the learning rate by `rate`."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        optimizer.state.clear()
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.lr * rate

    def on_train_epoch_end(self) -> None:
        mean = self.trainer.strategy.reduce(self._sum / max(self._count, 1))  # over the devices
        self.curve.append(float(mean))
        self._sum, self._count = torch.zeros(()), 0
        if time.monotonic() - self._logged >= 1:  # a row costs a millisecond, which many a small epoch does not last
            self.log("train_loss", self.curve[-1])
            self._logged = time.monotonic()

    def get_extra_state(self) -> list[float]:
        return self.curve  # so that it goes wherever the weights go: checkpoints, and back from forked processes

    def set_extra_state(self, state: list[float]) -> None:
        self.curve = list(state)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        drawn = {"rows": self.rows.random.bit_generator.state, "torch": torch.get_rng_state()}
        drawn["cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint["drawn"] = drawn

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        drawn = checkpoint["drawn"]
        self.rows.random.bit_generator.state = drawn["rows"]
        torch.set_rng_state(drawn["torch"])
        torch.cuda.set_rng_state_all(drawn["cuda"])

    def validation_step(self, batch: Batch) -> None:
        loss = self.objective(self.model, batch)
        self.log("val_loss", loss, batch_size=len(batch["y"]), on_epoch=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        weights = [p for p in self.parameters() if p.requires_grad]
        # In mixed precision Lightning refuses to clip for fused optimisers.
        fused = self.trainer.gradient_clip_val is None or self.trainer.precision == "32-true"
        kind: type[torch.optim.Adam] = torch.optim.Adam
        groups: list[dict[str, Any]] = [{"params": weights}]
        if self.undecayed is not None:
            kind, groups = torch.optim.AdamW, _parted(self, self.undecayed)
        optimizer = kind(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)
        if recipe.schedule == "one_cycle":
            steps = len(self.rows) * recipe.epochs
            # torch divides by zero where the rate rises for exactly one step
            warmup = self.warmup + 1e-9 if self.warmup * steps == 1 else self.warmup
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps, pct_start=warmup)
            return [optimizer], [{"scheduler": cycle, "interval": "step"}]
        if recipe.schedule == "step":
            every = max(1, round(0.4 * len(self.rows) * recipe.epochs))
            halved = torch.optim.lr_scheduler.StepLR(optimizer, every, gamma=0.5)
            return [optimizer], [{"scheduler": halved, "interval": "step"}]
        if recipe.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=15)
            return [optimizer], [{"scheduler": plateau, "monitor": "val_loss"}]
        return optimizer


def _parted(module: nn.Module, undecayed: Undecayed) -> list[dict[str, Any]]:
    """The trained weights in two groups, those that decay first."""
    groups: list[dict[str, Any]] = [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            groups[undecayed(name, weight)]["params"].append(weight)
    return [group for group in groups if group["params"]]


class _LastEpoch(Checkpoint):
    """Keeps the state at the end of an epoch, once `CHECKPOINT_EVERY` has passed since it was last kept."""

    def __init__(self, path: Path) -> None:
        self.path, self._kept = path, time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if time.monotonic() - self._kept >= CHECKPOINT_EVERY.total_seconds():
            trainer.save_checkpoint(self.path)  # aside first, then renamed
            self._kept = time.monotonic()


def _checkpoint(folder: Path, seed: int) -> Path:
    """One per fit: a job may hold several, told apart by their seeds."""
    return folder / f"last-{seed}.ckpt"


def _devices() -> int:
    wanted = os.environ.get("REPRISE_DEVICES", "1")
    if not wanted.isdigit() or wanted == "0":
        raise UserError(f"REPRISE_DEVICES={wanted} is not a number of devices, 1 or more")
    return int(wanted)


def fit(
    model: nn.Module,
    objective: Objective,
    train: Mapping[str, Table],
    recipe: Recipe,
    *,
    seed: int,
    validation: Mapping[str, Table] | None = None,
    groups: np.ndarray | None = None,
    patience: int | None = None,
    clip_norm: float | None = None,
    warmup: float = 0.3,
    undecayed: Undecayed | None = None,
) -> list[float]:
    """Train `model` in place and return the mean training loss of each epoch.

    Args:
        model: moved back to the CPU and left in evaluation mode.
        objective: (model, batch) -> scalar loss; parameters of an `nn.Module` objective are trained too. Where its
            attribute `restart` is a number after a call, Adam starts anew with that share of the learning rate.
        train: arrays of equal length; a batch is the same mapping with tensors of its rows.
        validation: needed by the `plateau` schedule and by `patience`.
        groups: (n,) group of each row, for `recipe.stratified`.
        patience: stop after so many epochs without a better validation loss.
        clip_norm: greatest norm of the gradient of all parameters together.
        warmup: share of the steps in which the `one_cycle` rate rises.
        undecayed: (name, weight) -> whether that weight is spared; given, the optimiser is AdamW (decay outside of the
            gradient) in the place of Adam.
    """
    if validation is None and (recipe.schedule == "plateau" or patience):
        raise ValueError("the plateau schedule and early stopping need validation data")
    pl.seed_everything(seed % 2**32, verbose=False)
    model.train()  # Lightning keeps the mode it finds
    workers = int(os.environ.get("REPRISE_WORKERS", 0))
    rows = BatchRows(len(next(iter(train.values()))), recipe.batch_size, seed, groups if recipe.stratified else None)
    loader = DataLoader(
        ArrayBatches(train), sampler=rows, batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )
    held_out: DataLoader[Batch] | None = None
    if validation is not None:
        order = [np.arange(k, min(k + 512, len(validation["y"]))) for k in range(0, len(validation["y"]), 512)]
        held_out = DataLoader(ArrayBatches(validation), sampler=order, batch_size=None, num_workers=workers)
    module = _Fit(model, objective, recipe, rows, warmup, undecayed)
    callbacks: list[Callback] = [EarlyStopping("val_loss", patience=patience)] if patience else []
    folder = jobs.workdir()
    if folder:
        callbacks.append(_LastEpoch(_checkpoint(folder, seed)))
    devices = _devices()
    if devices > 1:
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # else asking for a GPU makes forking impossible
    accelerator = os.environ.get("REPRISE_ACCELERATOR", "auto")
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than the logging.*")
        warnings.filterwarnings("ignore", message=".*directory .* exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # a frozen body
        warnings.filterwarnings("ignore", message=".*recommended to use .*sync_dist.*")  # the curve is a mean already
        warnings.filterwarnings("ignore", message=".*(GPU|CUDA) available but not used.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # inside Lightning and torch
        warnings.filterwarnings("ignore", category=FutureWarning)
        for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        trainer = pl.Trainer(
            accelerator="cpu" if not on_gpu and accelerator == "auto" else accelerator,
            devices=devices,
            # Forked processes need neither a script to start again nor a copy of what is mapped from the disk.
            strategy="ddp_fork_find_unused_parameters_true" if devices > 1 else "auto",
            gradient_clip_val=clip_norm,
            precision=os.environ.get("REPRISE_PRECISION", "bf16-mixed" if on_gpu else "32-true"),  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            logger=pl.loggers.CSVLogger(folder, name=None, version="") if folder else False,
            callbacks=callbacks,
            enable_checkpointing=bool(folder),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            use_distributed_sampler=False,
        )
        if os.environ.get("REPRISE_COMPILE") == "1":
            model.compile()  # in place: its class and the names of its weights stay
        last = _checkpoint(folder, seed) if folder else None
        if validation is None:
            module.validation_step = None  # type: ignore[assignment]  # else Lightning warns of a missing loader
        trainer.fit(module, loader, held_out, ckpt_path=str(last) if last and last.exists() else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    model._compiled_call_impl = None  # what was compiled for training does not follow the model elsewhere
    model.cpu().eval()
    return module.curve
