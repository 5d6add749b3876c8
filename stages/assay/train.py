"""Stage `assay-train`: `train.py DATASET` trains every network of the plan and writes the plan as a table."""

from pathlib import Path

from safetensors.numpy import save_file

from reprise import architectures, jobs, params
from reprise.assay import plan
from reprise.assay.params import load
from reprise.assay.plan import Run
from reprise.assay.tasks import Task, check_domains
from reprise.data.arrays import aside, sha256
from reprise.errors import run_stage


def main() -> None:
    block, seed = load(), params.load_common().seed
    dataset = params.dataset_argument(block.tasks)
    task, source = block.tasks[dataset], Path("data/prepared", dataset)
    data = Task(source)
    check_domains(data, task.train, ("train", "val", "test"))
    check_domains(data, task.test, ("test",))
    check_domains(data, task.pool, ("train", "val", "test"))
    if task.planted_cue:
        check_domains(data, task.planted_cue.train, ("train", "val"))
        check_domains(data, [task.planted_cue.test], ("test",))
    starts = {run.start: Path("data/models/assay/pretrain", run.start) for run in plan.runs(block, dataset)}
    inputs = [
        data.data.digest,
        *(sha256(path) for path in starts.values() if path.exists()),
        *(architectures.fingerprint(model) for model in block.architectures),
    ]
    name = f"assay-train@{dataset}"

    def job(run: Run, **extra: str) -> dict[str, object]:
        shared = {"run": run.as_job(), "folder": str(source), "start": str(starts[run.start]), "seed": seed}
        if run.arm == "planted_cue" and task.planted_cue:
            return {**shared, "l2": task.planted_cue.l2}
        return {**shared, **extra}

    runs = plan.runs(block, dataset)
    first = [run for run in runs if run.finetune != "lp_ft"]
    labels = [run.label for run in first]
    done = jobs.run(name, "reprise.assay.train:train", [job(run) for run in first], inputs=inputs, labels=labels)
    stored = dict(zip(first, done, strict=True))
    with aside(Path("data/models/assay", dataset)) as folder:
        # LP-FT starts from the head that a head-only run has found, so it comes second.
        second = [run for run in runs if run.finetune == "lp_ft"]
        todo = [job(run, probed=str(stored[plan.probe_of(run, first)])) for run in second]
        labels = [run.label for run in second]
        tuned = jobs.run(f"{name}-lp-ft", "reprise.assay.train:train", todo, inputs=inputs, labels=labels)
        for run, path in [*stored.items(), *zip(second, tuned, strict=True)]:
            save_file(jobs.load(path), folder / f"{run.id}.safetensors")
        plan.write(runs, folder / "plan.csv")
    jobs.prune(name, done)
    jobs.prune(f"{name}-lp-ft", tuned)


if __name__ == "__main__":
    run_stage(main)
