"""What a GPU makes of this library, in under five minutes: first what tells most, each part by itself.

    PYTHONPATH=. python benchmarks/gpu.py [--to FILE] [--device cpu --small]

Needs a checkout, PyTorch, NumPy and SciPy; neither Ray nor the compiled kernels. Prints its findings and writes them to
benchmarks/results/gpu-CARD.txt. The parts run in a process of their own: what fails, or takes far more than its time,
ends that process, and the next part has another. `--device cpu --small` runs every part at a tiny size, and writes
gpu-cpu-small.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import math
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from amc_core import MODELS, Scenario, Simulator
from amc_core.device import Acceleration
from amc_core.errors import AmcError
from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.models.complexity import multiply_accumulates
from amc_core.modulations import MODULATION_SETS
from amc_core.randomness import NOISE, words
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import AUGMOD_OFFSETS
from amc_core.training import new_model, train
from benchmarks.train import plain_twin, synchronised

TOTAL = 290  # seconds, of all parts
FIRST = ("stn_resnext", "cnn1d")  # networks
BOUND = 1e-4  # on |difference| of samples of unit power: products are rounded in another order
RUNS_AT_ONCE = 4


@dataclass(frozen=True)
class Size:
    """How large everything is.

    paper: instances of every modulation and SNR, and the SNRs in dB, of the paper-scale training.
    """

    modulations: tuple[str, ...] = MODULATION_SETS["complex"]
    length: int = 1024
    block: int = 8192  # instances simulated at a time
    instances: int = 320  # of every modulation; with 20 of them, whole batches
    batches: tuple[int, ...] = (256, 1024)
    networks: tuple[str, ...] = (*FIRST, *(n for n, spec in MODELS.items() if spec.epochs and n not in FIRST))
    seconds: float = 0.2  # of each measurement, at least
    matrix: int = 8192
    paper: tuple[int, tuple[float, ...]] = (1000, tuple(range(-6, 20, 2)))  # P1 §IV-C
    epochs: int = 12  # of the trainings whose accuracies are compared
    patience: float = 1.0  # times as long as a part should take


SMALL = Size(
    ("BPSK", "16QAM", "GFSK"), 128, 16, 10, (8, 16), ("stn_resnext", "mod_lcnn"), 0.0, 64, (10, (10.0,)), 2, 5.0
)  # fmt: skip


class Bench:
    """What all parts know: the device, the sizes, and when the part's time is over."""

    def __init__(self, device: str, size: Size):
        self.device, self.size, self.end = device, size, math.inf

    def over(self) -> bool:
        return time.perf_counter() > self.end

    def dataset(self, **fields) -> Dataset:
        size = self.size
        usual = {"modulations": size.modulations, "snrs_db": (10.0,), "instances": size.instances}
        return Dataset(**{"scenario": Scenario("rayleigh", 8), "length": size.length} | usual | fields)

    def run(self, model: str, batch: int, **recipe) -> Run:
        return Run(model, self.dataset(), Recipe(**{"epochs": 1_000_000, "batch_size": batch} | recipe))

    def rate(self, work: Callable[[], int], warm: int = 2) -> float:
        """Instances a second of `work`, which says how many it did; the first calls are not counted."""
        for _ in range(warm):
            work()
        start, done = synchronised(self.device), 0
        for doubled in itertools.count():
            done += sum(work() for _ in range(2**doubled))  # without waiting for the device in between
            elapsed = synchronised(self.device) - start
            if elapsed >= self.size.seconds:
                return done / elapsed

    def fixed(self, scenario: Scenario, modulations: tuple[str, ...], count: int, device: str) -> torch.Tensor:
        """The first `count` instances of a scenario, the modulations in turn."""
        simulator = Simulator(scenario, modulations, [10.0], self.size.length, device=device)
        index = torch.arange(count)
        return simulator(index % len(modulations), torch.zeros_like(index), index)


def equality(bench: Bench) -> Iterator[str]:
    """Largest |difference| of samples, CPU against device; random words and compiled against eager bit for bit."""
    keys, index = torch.tensor([[1, 2**32 - 1], [2**31, 7]]), torch.tensor([0, 1 << 40])
    same = torch.equal(
        words(keys, index, NOISE, 64), words(*(x.to(bench.device) for x in (keys, index)), NOISE, 64).cpu()
    )
    yield f"random words: {'equal' if same else 'DIFFERENT'}; bound on samples {BOUND:g}"
    families = ("16QAM", "OQPSK", "GMSK", "FM", "DSB-AM", "SSB-AM")
    yield f"{'':<24}" + "".join(f"{name:>10}" for name in families) + "   compiled = eager"
    settings = {name: Scenario(name, 8) for name in ("awgn", "rayleigh", "rician", "rayleigh_2")}
    settings |= {"32/3 samples a symbol": Scenario(upsampling="32/3"), "AugMod with offsets": AUGMOD_OFFSETS}
    worst, linear = 0.0, families[:2]
    for label, scenario in settings.items():
        if bench.over():
            yield "out of time"
            break
        cells, alike = [], True
        for name in linear if label.startswith("AugMod") else families:
            ours = bench.fixed(scenario, (name,), 8, bench.device)
            difference = (ours.cpu() - bench.fixed(scenario, (name,), 8, "cpu")).abs().max().item()
            with environment("off"):
                alike = alike and torch.equal(ours, bench.fixed(scenario, (name,), 8, bench.device))
            worst = max(worst, difference)
            cells.append(f"{difference:>10.1e}")
        yield f"{label:<24}" + "".join(cells).ljust(10 * len(families)) + f"   {'yes' if alike else 'NO'}"
    yield f"largest {worst:.1e}: {'within' if worst <= BOUND else 'BEYOND'} the bound"


def simulation(bench: Bench) -> Iterator[str]:
    """Instances simulated a second, random numbers compiled and not, beside as many normal numbers of torch's own."""
    size, device = bench.size, bench.device
    rows = {
        "Rayleigh, 16QAM, L = 8": (Scenario("rayleigh", 8), ("16QAM",)),
        "AWGN, 16QAM, L = 8": (Scenario("awgn", 8), ("16QAM",)),
        "Rayleigh, all modulations": (Scenario("rayleigh", 8), size.modulations),
        "AugMod with offsets": (AUGMOD_OFFSETS, ("BPSK", "16QAM")),
    }

    def randn() -> int:
        torch.randn(size.block, 2, size.length, device=device)
        return size.block

    reference = bench.rate(randn)
    yield f"{'':<28}{'a second':>13}{'uncompiled':>13}{'of randn, %':>13}{'first call, s':>15}"
    yield f"{'torch.randn':<28}{reference:>13,.0f}"
    for label, (scenario, modulations) in rows.items():
        if bench.over():
            yield "out of time"
            return
        simulator = Simulator(scenario, modulations, [10.0], size.length, device=device)
        index = torch.arange(size.block)
        address = index % len(modulations), torch.zeros_like(index), index

        def simulate(simulator=simulator, address=address) -> int:
            return len(simulator(*address))

        start = synchronised(device)
        simulate()
        first = synchronised(device) - start
        compiled = bench.rate(simulate)
        with environment("off"):
            eager = bench.rate(simulate)
        yield f"{label:<28}{compiled:>13,.0f}{eager:>13,.0f}{100 * compiled / reference:>13.2f}{first:>15.2f}"


def paper(bench: Bench) -> Iterator[str]:
    """One STN-ResNeXt at P1's scale, timed for three epochs."""
    instances, snrs_db = bench.size.paper
    dataset = bench.dataset(instances=instances, snrs_db=snrs_db)
    run = Run("stn_resnext", dataset, Recipe())
    at, start = [], synchronised(bench.device)
    for state in itertools.islice(train(run, bench.device), 3):
        at.append(synchronised(bench.device) - start)
        row = state["epochs"][-1]
        yield f"epoch {row['epoch']}: ended at {at[-1]:.1f} s, {row['instances_per_second']:,.0f} instances a second"
        if bench.over():
            break
    epoch = statistics.mean(b - a for a, b in itertools.pairwise(at)) if len(at) > 1 else at[0]
    whole = at[0] + (run.recipe.epochs - 1) * epoch
    yield f"{dataset.size('train'):,} instances, {run.recipe.epochs} epochs: {whole / 60:.1f} min, extrapolated"


def peaks(bench: Bench) -> Iterator[str]:
    """What the device can do at most: matrix products and copies."""
    n = bench.size.matrix
    for name, dtype, short in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, 0),
    ):
        a = torch.randn(n, n, device=bench.device, dtype=dtype)
        torch.backends.cuda.matmul.allow_tf32 = bool(short)

        def product(a=a) -> int:
            torch.mm(a, a)
            return 2 * n**3

        _peak[name] = bench.rate(product)
        yield f"{name + ' products':<20}{_peak[name] / 1e12:>10.2f} · 10¹² operations a second"
    torch.backends.cuda.matmul.allow_tf32 = False
    x = torch.empty(n * n, device=bench.device)
    y = torch.empty_like(x)

    def copy() -> int:
        y.copy_(x)
        return 8 * n * n

    _peak["copy"] = bench.rate(copy)
    yield f"{'copies':<20}{_peak['copy'] / 1e9:>10.1f} · 10⁹ bytes a second, read and written"


_peak: dict[str, float] = {}  # of the device, measured by `peaks` in the same process


def bound(model: str, size: Size) -> float:
    """Instances trained a second that the peaks allow in float32."""
    operations, moved = cost(model, size)
    return min(_peak["float32"] / operations, _peak["copy"] / moved)


@functools.cache
def cost(model: str, size: Size) -> tuple[int, int]:
    """Operations, and bytes read and written, of training a network on one instance.

    Operations are three times those of the forward pass. Every layer's output is written, read by the next layer and
    again backwards, and its gradient is written and read.
    """
    network = new_model(Run(model, Dataset(Scenario(), size.modulations, (10.0,), 10, size.length))).eval()
    outputs = 0

    def count(module, inputs, output) -> None:
        nonlocal outputs
        outputs += sum(x.numel() for x in (output if isinstance(output, tuple) else (output,)) if torch.is_tensor(x))

    for module in network.modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(count)
    return 3 * 2 * multiply_accumulates(network, size.length), 5 * 4 * outputs


def rates(bench: Bench) -> Iterator[str]:
    """Instances trained and evaluated a second, beside a DataLoader's loop and a bare loop over stored instances.

    All in float32. "of bound": of what the device's peaks would allow. MiB: the largest memory of our training.
    """
    heads = ("plain", "bare", "ours", "× plain", "× bare", "of bound, %", "MiB", "evaluated: bare", "ours", "× bare")
    widths = (11, 11, 11, 9, 9, 13, 9, 17, 11, 9)
    yield f"{'':<14}{'batch':>6}" + "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    instances = Instances(bench.dataset(), "train", bench.device)
    stored = [torch.cat(part) for part in zip(*instances.batches(torch.arange(len(instances)), 1024), strict=True)]
    for count, model in enumerate(bench.size.networks):
        for batch in bench.size.batches:
            if bench.over():
                yield f"out of time: {len(bench.size.networks) - count} networks are left"
                return
            try:
                cells = _rates_of(bench, model, batch, stored[0], stored[1])
            except RuntimeError as error:
                if "CUDA error" in str(error):
                    raise
                yield f"{model:<14}{batch:>6} failed: {_sentence(error)}"
                continue
            formats = ("{:,.0f}",) * 3 + ("{:.2f}",) * 2 + ("{:.1f}", "{:,.0f}", "{:,.0f}", "{:,.0f}", "{:.2f}")
            texts = ("–" if math.isnan(x) else text.format(x) for text, x in zip(formats, cells, strict=True))
            yield f"{model:<14}{batch:>6}" + "".join(
                f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)
            )


def _rates_of(bench: Bench, model: str, batch: int, x: torch.Tensor, labels: torch.Tensor) -> tuple[float, ...]:
    run, device = bench.run(model, batch), bench.device
    network = plain_twin(new_model(run)).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(x.cpu(), labels.cpu()), batch, shuffle=True)

    def step(x: torch.Tensor, labels: torch.Tensor) -> int:
        optimiser.zero_grad()
        cross_entropy(network(x), labels).backward()
        optimiser.step()
        return len(x)

    def pieces() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            for order in torch.randperm(len(x), device=device).split(batch):
                yield x[order], labels[order]

    endless, bare_pieces = itertools.chain.from_iterable(itertools.repeat(loader)), pieces()
    plain = bench.rate(lambda: step(*(part.to(device) for part in next(endless))))
    bare = bench.rate(lambda: step(*next(bare_pieces)))
    network.eval()
    with torch.inference_mode():
        bare_evaluation = bench.rate(lambda: int(network(next(bare_pieces)[0]).shape[0]))
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    ours = _trained(bench, run)
    memory = torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else math.nan
    kept, ready = Instances(bench.dataset(), "train", device, keep=True), new_model(run, device)
    evaluation = bench.rate(lambda: sum(map(len, evaluate(ready, kept, device).right)), warm=1)
    share = 100 * ours / bound(model, bench.size) if _peak else math.nan
    return (
        plain,
        bare,
        ours,
        ours / plain,
        ours / bare,
        share,
        memory,
        bare_evaluation,
        evaluation,
        evaluation / bare_evaluation,
    )


def _trained(bench: Bench, run: Run, seconds: float | None = None) -> float:
    """Instances trained a second, the best of the epochs after the first."""
    seen, start = [], time.perf_counter()
    for state in train(run, bench.device):
        seen.append(state["epochs"][-1]["instances_per_second"])
        if len(seen) > 2 and time.perf_counter() - start > (bench.size.seconds if seconds is None else seconds):
            return max(seen[1:])


def split(bench: Bench) -> Iterator[str]:
    """Shares of an instance's time in training: making it, and the step."""
    yield f"{'':<14}{'batch':>6}{'kept, %':>10}{'simulated, %':>14}"
    data = {}
    for keep, batch in itertools.product((True, False), bench.size.batches):
        instances = Instances(bench.dataset(), "train", bench.device, keep=keep)
        positions = torch.randperm(len(instances))

        def consume(instances=instances, positions=positions, batch=batch) -> int:
            return sum(len(x) for x, _, _ in instances.batches(positions, batch))

        data[keep, batch] = 1 / bench.rate(consume)
    for model, batch in itertools.product(bench.size.networks[:2], bench.size.batches):
        if bench.over():
            yield "out of time"
            return
        whole = 1 / _trained(bench, bench.run(model, batch))  # of kept instances
        step = max(whole - data[True, batch], 1e-12)
        cells = (100 * data[keep, batch] / (step + data[keep, batch]) for keep in (True, False))
        yield f"{model:<14}{batch:>6}" + "{:>10.1f}{:>14.1f}".format(*cells)


def at_once(bench: Bench) -> Iterator[str]:
    """Trainings of one architecture: one process that trains one after another, and processes side by side."""
    model, batch = bench.size.networks[1], bench.size.batches[0]
    seconds = 16 * bench.size.seconds
    alone = _trained(bench, bench.run(model, batch), seconds)
    yield f"{model}, batches of {batch}: one process, in turn: {alone:,.0f} instances a second"
    count = RUNS_AT_ONCE if bench.size.seconds else 2
    processes = multiprocessing.get_context("spawn")
    barrier, queue = processes.Barrier(count), processes.Queue()
    arguments = (bench.device, bench.size, model, batch, seconds, barrier, queue)
    runs = [processes.Process(target=_one_of_many, args=arguments, daemon=True) for _ in range(count)]
    for process in runs:
        process.start()
    try:
        together = sum(queue.get(timeout=max(5, bench.end - time.perf_counter())) for _ in runs)
    finally:
        for process in runs:
            process.terminate()
            process.join()
    yield f"{count} processes side by side: {together:,.0f}, {together / alone:.2f} times as many"


def _one_of_many(device: str, size: Size, model: str, batch: int, seconds: float, barrier, queue) -> None:
    torch.set_num_threads(1)
    bench, at, done = Bench(device, size), [], 0
    run = bench.run(model, batch)
    for state in train(run, device):
        if len(state["epochs"]) == 2:
            barrier.wait(120)
            at = [synchronised(device)]
        elif at:
            done += run.dataset.size("train")
            if (elapsed := synchronised(device) - at[0]) >= seconds:
                break
    queue.put(done / elapsed)


def precisions(bench: Bench) -> Iterator[str]:
    """Accuracy after a short training in float32, TF32 and bf16; the same seeds, instances and order."""
    model, batch, epochs = bench.size.networks[1], bench.size.batches[0], bench.size.epochs
    yield f"{model}, batches of {batch}, {epochs} epochs, {bench.size.instances} instances of every modulation, 10 dB"
    yield f"{'':<10}{'accuracy of two seeds':>24}{'instances a second':>20}"
    for precision in ("float32", "tf32", "bf16"):
        accuracies, seen = [], []
        for seed in (0, 1):
            if bench.over():
                yield "out of time"
                return
            run = replace(bench.run(model, batch, epochs=epochs, precision=precision), seed=seed)
            state = list(train(run, bench.device))[-1]
            seen += [row["instances_per_second"] for row in state["epochs"][1:]]
            accuracies.append(state["epochs"][state["kept_epoch"] - 1]["validation_accuracy"])
        yield f"{precision:<10}{'  '.join(f'{a:.3f}' for a in accuracies):>24}{max(seen):>20,.0f}"


PARTS: dict[str, tuple[Callable[[Bench], Iterator[str]], float]] = {
    "Equal instances, CPU and device": (equality, 35),
    "Simulation": (simulation, 35),
    "STN-ResNeXt at paper scale": (paper, 45),
    "Peaks of the device": (peaks, 10),
    "Training and evaluation": (rates, 85),
    "Data and step": (split, 15),
    "Several trainings at once": (at_once, 35),
    "Precision": (precisions, 30),
}  # and seconds of each


@contextlib.contextmanager
def environment(acceleration: str) -> Iterator[None]:
    """AMC_ACCELERATION inside."""
    before = os.environ.get("AMC_ACCELERATION")
    os.environ["AMC_ACCELERATION"] = acceleration
    try:
        yield
    finally:
        del os.environ["AMC_ACCELERATION"]
        if before is not None:
            os.environ["AMC_ACCELERATION"] = before


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def _answer(pipe, device: str, size: Size) -> None:
    """A process that runs parts as they are named, and sends their lines; None after the last."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a part ends the processes that it has started
    torch.backends.cudnn.allow_tf32 = False  # of the loops that ours is compared with, too
    bench = Bench(device, size)
    while name := pipe.recv():
        part, seconds = PARTS[name]
        bench.end = time.perf_counter() + seconds * size.patience
        try:
            for line in part(bench):
                pipe.send(line)
        except Exception as error:  # the next part has a process of its own
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # this one may be on its way out when it is ended
            pipe.send(f"FAILED: {_sentence(error)}")
            pipe.send("")
            return
        pipe.send(None)


class Parts:
    """Runs parts in a process that lasts as long as none fails."""

    def __init__(self, device: str, size: Size):
        self.arguments, self.process, self.pipe = (device, size), None, None

    def lines(self, name: str, seconds: float) -> Iterator[str]:
        if self.process is not None and not self.process.is_alive():
            self.stop()
        if self.process is None:
            processes = multiprocessing.get_context("spawn")
            self.pipe, theirs = processes.Pipe()
            process = processes.Process(target=_answer, args=(theirs, *self.arguments))
            resource_tracker.ensure_running()  # which would undo the next line
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # that process is ended by this one
            process.start()
            self.process = process
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.pipe.send(name)
        end = time.perf_counter() + seconds
        while True:
            try:
                line = self.pipe.recv() if self.pipe.poll(max(end - time.perf_counter(), 0)) else "FAILED: too slow"
            except (EOFError, OSError):
                line = "FAILED: its process died"
            if line is None:
                return
            if line:
                yield line
            if not line or line in ("FAILED: too slow", "FAILED: its process died"):
                self.stop()
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.join(5)
            self.process.kill()  # where a kernel hangs
            self.process.join()
        self.process = None


def heading(device: str) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"
    return f"{name}; torch {torch.__version__}, CUDA {torch.version.cuda}; {Acceleration.of(device)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--small", action="store_true", help="every part at a tiny size, to see that it runs")
    parser.add_argument("--to", type=Path, help="file; by default benchmarks/results/gpu-CARD.txt")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --device cpu --small shows that everything runs")
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    name = f"gpu-{card.replace(' ', '-').lower()}{'-small' if arguments.small else ''}.txt"
    path = arguments.to or Path(__file__).parent / "results" / name
    size = SMALL if arguments.small else Size()
    parts = Parts(arguments.device, size)
    begun = time.perf_counter()
    try:
        first, file = heading(arguments.device), path.open("w", encoding="utf-8")
    except AmcError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--to: {path} cannot be written: {error.strerror}")
    with file:

        def tell(line: str) -> None:
            print(line, flush=True)
            print(line, file=file, flush=True)

        tell(first)
        try:
            for name, (part, seconds) in PARTS.items():
                left = TOTAL * size.patience - (time.perf_counter() - begun)
                tell(f"\n{name}: {part.__doc__.strip().splitlines()[0]}")
                if left <= 0:
                    tell("  out of time")
                    continue
                start = time.perf_counter()
                for line in parts.lines(name, min(1.4 * seconds * size.patience + 10, left)):
                    tell(f"  {line}")
                tell(f"  ({time.perf_counter() - start:.0f} s)")
        except KeyboardInterrupt:
            tell("\nstopped")
            return 130
        finally:
            parts.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
